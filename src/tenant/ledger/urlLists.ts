/**
 * The table `url_lists`: each list of URLs that Cloudflare gave, once. Only this file reads and writes it. A list that no
 * credential can refer to any more is deleted, except the newest.
 */
import { MAX_TTL_SECONDS } from '../../contract/values.ts'
import type { ReadContext } from '../core/context.ts'
import { Remembered } from '../core/remembered.ts'

/** `used_at` is written once a day at most. */
const USE_NOTED_MS = 86_400_000
/** Longer than any credential lives that came with the list on a day whose use was not noted, until its row is pruned. */
export const URL_LIST_KEPT_MS = USE_NOTED_MS + MAX_TTL_SECONDS * 1_000 + 86_400_000

interface KnownList extends Record<string, SqlStorageValue> {
  id: number
  used_at: number
}

/** Cloudflare gives the same list for months. By their text, and by their id. */
const MOST_REMEMBERED = 20
const lists = new Remembered<string, KnownList | undefined>(MOST_REMEMBERED)
const texts = new Remembered<number, readonly string[]>(MOST_REMEMBERED)

function forgetLists(sql: SqlStorage): void {
  lists.forget(sql)
  texts.forget(sql)
}

/** The id of a list of URLs; the same list is stored once. Inside a transaction. */
export function keepUrlList({ sql, now }: ReadContext, urls: readonly string[]): number {
  const text = JSON.stringify(urls)
  const at = now()
  const known = lists.get(
    sql,
    text,
    () => sql.exec<KnownList>('SELECT id, used_at FROM url_lists WHERE urls = ?', text).toArray()[0],
  )
  if (known && known.used_at >= at - USE_NOTED_MS) return known.id
  forgetLists(sql)
  return sql
    .exec<{ id: number }>(
      `INSERT INTO url_lists (urls, used_at) VALUES (?, ?) ON CONFLICT (urls) DO UPDATE SET used_at = excluded.used_at
       RETURNING id`,
      text,
      at,
    )
    .one().id
}

export const urlList = (sql: SqlStorage, id: number): readonly string[] =>
  texts.get(sql, id, () => {
    const { urls } = sql.exec<{ urls: string }>('SELECT urls FROM url_lists WHERE id = ?', id).one()
    return JSON.parse(urls) as string[] // written by keepUrlList only
  })

/** The list that Cloudflare gave last; `undefined`: it never gave one. */
export function newestUrlList(sql: SqlStorage): readonly string[] | undefined {
  const { id } = sql.exec<{ id: number | null }>('SELECT max(id) AS id FROM url_lists').one()
  return id === null ? undefined : urlList(sql, id)
}

/** Inside a transaction: deletes up to `atMost` lists that were not given since `usedBefore`. */
export function forgetUrlLists(sql: SqlStorage, usedBefore: number, atMost: number): void {
  forgetLists(sql)
  sql.exec(
    `DELETE FROM url_lists WHERE id IN (
       SELECT id FROM url_lists WHERE used_at < ? AND id < (SELECT max(id) FROM url_lists) ORDER BY used_at LIMIT ?)`,
    usedBefore,
    atMost,
  )
}
