/** Counts what SQL costs: statements, rows read and written, for everything run while the meter is on. */

export interface SqlCost {
  statements: number
  rowsRead: number
  rowsWritten: number
  texts: string[]
}

/**
 * Wraps `exec` of this storage's prototype until `stop` is called. Every object of src reads a cursor to its end before it awaits
 * anything, so a cursor is summed up in the next microtask, where it was made.
 */
export function meterSql(
  sql: SqlStorage,
  which: 'of every object' | 'of this object' = 'of every object',
): { stop: () => SqlCost } {
  const prototype = Object.getPrototypeOf(sql) as SqlStorage
  const { exec } = prototype
  const cost: SqlCost = { statements: 0, rowsRead: 0, rowsWritten: 0, texts: [] }
  prototype.exec = function metered(this: SqlStorage, query: string, ...bindings: SqlStorageValue[]) {
    const cursor = exec.call(this, query, ...bindings)
    if (which === 'of this object' && this !== sql) return cursor
    cost.statements++
    cost.texts.push(query.replaceAll(/\s+/g, ' ').trim())
    queueMicrotask(() => {
      cost.rowsRead += cursor.rowsRead
      cost.rowsWritten += cursor.rowsWritten
    })
    return cursor
  } as SqlStorage['exec']
  return {
    stop() {
      prototype.exec = exec
      return cost
    },
  }
}
