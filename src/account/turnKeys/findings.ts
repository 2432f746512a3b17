/** What the last sweep found: a row a key, replaced by the next. Uid and class; never a name. */
import { FINDING_CLASSES, type FindingClass, type FindingView } from '../../contract/resources/account.ts'
import { instant } from '../../contract/values.ts'

const SHOWN_FINDINGS = 100

export interface Finding {
  readonly uid: string
  readonly class: FindingClass
  readonly tenant: string | null
}

/** Inside a transaction. `run` is the sweep that saw it. */
export function recordFindings(sql: SqlStorage, findings: readonly Finding[], run: number): void {
  for (const it of findings) {
    sql.exec(
      `INSERT INTO findings (uid, class, tenant, since, run) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET since = iif(class = excluded.class, since, excluded.since),
         class = excluded.class, tenant = excluded.tenant, run = excluded.run`,
      it.uid,
      it.class,
      it.tenant,
      run,
      run,
    )
  }
}

/** A tenant that could not be asked: what was found of its keys before stands. Inside a transaction. */
export const keepFindings = (sql: SqlStorage, tenant: string, run: number): unknown =>
  sql.exec('UPDATE findings SET run = ? WHERE tenant = ?', run, tenant)

/** What this sweep did not see any more. Inside a transaction. */
export const forgetFindings = (sql: SqlStorage, run: number): unknown =>
  sql.exec('DELETE FROM findings WHERE run < ?', run)

export function countFindings(sql: SqlStorage): Record<FindingClass, number> {
  const rows = sql
    .exec<{ class: FindingClass; n: number }>('SELECT class, count(*) AS n FROM findings GROUP BY class')
    .toArray()
  const countOf = (name: FindingClass) => rows.find((row) => row.class === name)?.n ?? 0
  // Every class is there, also with none.
  return Object.fromEntries(FINDING_CLASSES.map((name) => [name, countOf(name)])) as Record<FindingClass, number>
}

export const firstFindings = (sql: SqlStorage): FindingView[] =>
  sql
    .exec<{ uid: string; class: FindingClass; tenant: string | null; since: number }>(
      'SELECT uid, class, tenant, since FROM findings ORDER BY uid LIMIT ?',
      SHOWN_FINDINGS,
    )
    .toArray()
    .map(({ since, ...finding }) => ({ ...finding, since: instant(since) }))

export const countAllFindings = (sql: SqlStorage): number =>
  sql.exec<{ n: number }>('SELECT count(*) AS n FROM findings').one().n
