/** The table `url_lists`, which only this file writes: the lists of server URLs that Cloudflare gave with its credentials. */

/** The id of a list of URLs; the same list is stored once. Inside a transaction. */
export function keepUrlList(sql: SqlStorage, urls: readonly string[]): number {
  const text = JSON.stringify(urls)
  const [known] = sql.exec<{ id: number }>('SELECT id FROM url_lists WHERE urls = ?', text).toArray()
  return known?.id ?? sql.exec<{ id: number }>('INSERT INTO url_lists (urls) VALUES (?) RETURNING id', text).one().id
}

export const urlList = (sql: SqlStorage, id: number): string[] => {
  const { urls } = sql.exec<{ urls: string }>('SELECT urls FROM url_lists WHERE id = ?', id).one()
  return JSON.parse(urls) as string[] // written by keepUrlList only
}

/** The list that Cloudflare gave last; `undefined`: it never gave one. */
export function newestUrlList(sql: SqlStorage): string[] | undefined {
  const [row] = sql.exec<{ id: number }>('SELECT max(id) AS id FROM url_lists HAVING id IS NOT NULL').toArray()
  return row && urlList(sql, row.id)
}
