/**
 * The table `api_tokens`, which only this file writes. Digests are stored, never a token; which digest opens a token, and
 * until when, is decided here.
 */
import * as z from 'zod/mini'
import type { TenantSnapshot } from '../../cache/entries.ts'
import { type ApiTokenView, MAX_API_TOKENS } from '../../contract/resources/apiTokens.ts'
import { Scope } from '../../contract/scopes.ts'
import { instant } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import { isBanned } from './banRows.ts'
import { Remembered } from './remembered.ts'

const Scopes = z.array(Scope)
/** By id. */
const tokens = new Remembered<string, ApiTokenRow | undefined>(MAX_API_TOKENS)

export interface ApiTokenRow extends Record<string, SqlStorageValue> {
  seq: number
  id: string
  name: string
  scopes: string
  digest: string
  previous_digest: string | null
  previous_until: number | null
  expires_at: number | null
  created_at: number
  rolled_at: number | null
}

export const countApiTokens = (sql: SqlStorage): number =>
  sql.exec<{ n: number }>('SELECT count(*) AS n FROM api_tokens').one().n

export const deleteAllApiTokens = (sql: SqlStorage): void => {
  tokens.forget(sql)
  sql.exec('DELETE FROM api_tokens')
}

/** Newest first; one more than `limit`, so that the caller sees whether there is a next page. */
export const apiTokensBefore = (sql: SqlStorage, before: number | null, limit: number): ApiTokenRow[] =>
  sql
    .exec<ApiTokenRow>(
      'SELECT * FROM api_tokens WHERE seq < ? ORDER BY seq DESC LIMIT ?',
      before ?? Number.MAX_SAFE_INTEGER,
      limit + 1,
    )
    .toArray()

export function insertApiToken(
  sql: SqlStorage,
  token: Pick<ApiTokenRow, 'id' | 'name' | 'digest' | 'expires_at' | 'created_at'> & { readonly scopes: Scope[] },
): void {
  sql.exec(
    'INSERT INTO api_tokens (id, name, scopes, digest, expires_at, created_at) VALUES (?, ?, ?, ?, ?, ?)',
    token.id,
    token.name,
    JSON.stringify(token.scopes),
    token.digest,
    token.expires_at,
    token.created_at,
  )
}

/** A roll: the new digest opens the token from now on, the previous one until `previousUntil` (`null`: no longer). */
export function replaceDigest(
  sql: SqlStorage,
  row: ApiTokenRow,
  {
    digest,
    previousUntil,
    now,
  }: { readonly digest: string; readonly previousUntil: number | null; readonly now: number },
): void {
  tokens.forget(sql)
  sql.exec(
    'UPDATE api_tokens SET digest = ?, previous_digest = ?, previous_until = ?, rolled_at = ? WHERE id = ?',
    digest,
    previousUntil === null ? null : row.digest,
    previousUntil,
    now,
    row.id,
  )
}

export function deleteApiTokenRow(sql: SqlStorage, id: string): void {
  tokens.forget(sql)
  sql.exec('DELETE FROM api_tokens WHERE id = ?', id)
}

/** What the edge may know of the tokens. A banned token is not among them, so that the edge grants it nothing. */
export const snapshotTokens = (sql: SqlStorage, now: number): TenantSnapshot['tokens'] =>
  sql
    .exec<ApiTokenRow>('SELECT * FROM api_tokens')
    .toArray()
    .filter(({ id }) => !isBanned(sql, 'token_id', id, now))
    .map((row) => ({ id: row.id, digests: digestsOf(row, now), scopes: scopesOf(row) }))

/** The digests that open this token now, each with the time until which it does (`null`: no end). */
export function digestsOf(row: ApiTokenRow, now: number): { digest: string; until: number | null }[] {
  const current = { digest: row.digest, until: row.expires_at }
  const { previous_digest: digest, previous_until: until } = row
  if (digest === null || until === null || until <= now) return [current]
  return [current, { digest, until: Math.min(until, row.expires_at ?? until) }]
}

export const scopesOf = (row: ApiTokenRow): Scope[] => Scopes.parse(JSON.parse(row.scopes))

export const findApiToken = (sql: SqlStorage, id: string): ApiTokenRow | undefined =>
  tokens.get(sql, id, () => sql.exec<ApiTokenRow>('SELECT * FROM api_tokens WHERE id = ?', id).toArray()[0])

export function existingApiToken(sql: SqlStorage, id: string): ApiTokenRow {
  const row = findApiToken(sql, id)
  if (!row) throw new BrokerError('not_found', { detail: 'No such API token.' })
  return row
}

export function apiTokenView(row: ApiTokenRow, now: number): ApiTokenView {
  const previous = row.previous_until !== null && row.previous_until > now ? row.previous_until : null
  return {
    id: row.id,
    name: row.name,
    scopes: scopesOf(row),
    expiresAt: row.expires_at === null ? null : instant(row.expires_at),
    createdAt: instant(row.created_at),
    rolledAt: row.rolled_at === null ? null : instant(row.rolled_at),
    previousValidUntil: previous === null ? null : instant(previous),
  }
}
