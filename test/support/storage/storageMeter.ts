/** Counts what objects ask of their storage: statements, rows, commits and alarms, of every object in this isolate. */

export interface StorageCost {
  statements: number
  rowsRead: number
  rowsWritten: number
  /** Transactions that wrote, and writes outside of one. */
  commits: number
  /** Cloudflare bills each as a row written. */
  alarmsSet: number
}

/** A statement, and what it is committed with: its transaction, or itself. */
interface Statement {
  rowsRead: number
  rowsWritten: number
  readonly unit: object
}

/** Wraps the prototypes of this storage until `stop` is called. */
export function meterStorage(storage: DurableObjectStorage): { stop: () => StorageCost } {
  const ofSql = Object.getPrototypeOf(storage.sql) as SqlStorage
  const ofStorage = Object.getPrototypeOf(storage) as DurableObjectStorage
  const { exec } = ofSql
  const { transactionSync, setAlarm } = ofStorage
  const statements: Statement[] = []
  let transaction: object | undefined
  let alarmsSet = 0
  ofSql.exec = function metered(this: SqlStorage, query: string, ...bindings: SqlStorageValue[]) {
    const cursor = exec.call(this, query, ...bindings)
    const statement = { rowsRead: 0, rowsWritten: 0, unit: transaction ?? cursor }
    statements.push(statement)
    // Once the caller has read the cursor. Later, in another object's turn, it may not be looked at.
    queueMicrotask(() => {
      statement.rowsRead = cursor.rowsRead
      statement.rowsWritten = cursor.rowsWritten
    })
    return cursor
  } as SqlStorage['exec']
  ofStorage.transactionSync = function metered<T>(this: DurableObjectStorage, work: () => T): T {
    const outer = transaction
    transaction ??= {}
    try {
      return transactionSync.call(this, work) as T // what `work` returns
    } finally {
      transaction = outer
    }
  }
  ofStorage.setAlarm = function metered(this: DurableObjectStorage, ...given) {
    alarmsSet++
    return setAlarm.apply(this, given)
  }
  return {
    stop() {
      ofSql.exec = exec
      ofStorage.transactionSync = transactionSync
      ofStorage.setAlarm = setAlarm
      const sum = (of: 'rowsRead' | 'rowsWritten') => statements.reduce((total, each) => total + each[of], 0)
      const wrote = statements.filter(({ rowsWritten }) => rowsWritten > 0)
      return {
        statements: statements.length,
        rowsRead: sum('rowsRead'),
        rowsWritten: sum('rowsWritten'),
        commits: new Set(wrote.map(({ unit }) => unit)).size,
        alarmsSet,
      }
    },
  }
}
