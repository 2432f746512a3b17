/** Counts what SQL costs: statements, rows read and written, for everything run while the meter is on. */

export interface SqlCost {
  statements: number
  rowsRead: number
  rowsWritten: number
  texts: string[]
}

/** Wraps `exec` of this storage's prototype until `stop` is called. Cursors are summed up when the meter stops, inside the object. */
export function meterSql(
  sql: SqlStorage,
  which: 'of every object' | 'of this object' = 'of every object',
): { stop: () => SqlCost } {
  const prototype = Object.getPrototypeOf(sql) as SqlStorage
  const { exec } = prototype
  const cursors: SqlStorageCursor<Record<string, SqlStorageValue>>[] = []
  const texts: string[] = []
  prototype.exec = function metered(this: SqlStorage, query: string, ...bindings: SqlStorageValue[]) {
    const cursor = exec.call(this, query, ...bindings)
    if (which === 'of this object' && this !== sql) return cursor
    cursors.push(cursor)
    texts.push(query.replaceAll(/\s+/g, ' ').trim())
    return cursor
  } as SqlStorage['exec']
  return {
    stop() {
      prototype.exec = exec
      const sum = (of: 'rowsRead' | 'rowsWritten') => cursors.reduce((total, cursor) => total + cursor[of], 0)
      return { statements: cursors.length, rowsRead: sum('rowsRead'), rowsWritten: sum('rowsWritten'), texts }
    },
  }
}
