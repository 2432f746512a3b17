/** The findings of the last sweep, one row a key; the next sweep replaces them. Must not store a key's name. */
import { FINDING_CLASSES, type FindingClass, type FindingView } from '../../contract/resources/account.ts'
import { instant } from '../../contract/values.ts'

const SHOWN_FINDINGS = 100

export interface Finding {
  readonly uid: string
  readonly class: FindingClass
  readonly tenant: string | null
}

/** Stores findings of sweep `run`. Call it inside a transaction. */
export function recordFindings(sql: SqlStorage, findings: readonly Finding[], run: number): void {
  for (const finding of findings) {
    sql.exec(
      `INSERT INTO findings (uid, class, tenant, since, run) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET since = iif(class = excluded.class, since, excluded.since),
         class = excluded.class, tenant = excluded.tenant, run = excluded.run`,
      finding.uid,
      finding.class,
      finding.tenant,
      run,
      run,
    )
  }
}

/** Keeps the previous findings of a tenant that did not answer. Call it inside a transaction. */
export const carryOverFindings = (sql: SqlStorage, tenant: string, run: number): unknown =>
  sql.exec('UPDATE findings SET run = ? WHERE tenant = ?', run, tenant)

/** Deletes the findings that sweep `run` did not store or keep. Call it inside a transaction. */
export const deleteStaleFindings = (sql: SqlStorage, run: number): unknown =>
  sql.exec('DELETE FROM findings WHERE run < ?', run)

export function countFindings(sql: SqlStorage): Record<FindingClass, number> {
  const rows = sql
    .exec<{ class: FindingClass; n: number }>('SELECT class, count(*) AS n FROM findings GROUP BY class')
    .toArray()
  const countOf = (name: FindingClass) => rows.find((row) => row.class === name)?.n ?? 0
  // Every class has a count, also 0.
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

export const hasFindings = (sql: SqlStorage): boolean => sql.exec('SELECT 1 FROM findings LIMIT 1').toArray().length > 0
