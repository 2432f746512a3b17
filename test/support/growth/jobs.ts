/** Jobs as rows of the table of costs: each is made the only one that is due, and run by the object's alarm. */
import { runInDurableObject } from 'cloudflare:test'
import { runJobsOf } from '../storage/storage.ts'
import type { CostRow } from './costs.ts'

const FAR_AHEAD = 4_000_000_000_000
/** The alarm's own statements: which jobs are due, what came of this one, when the next is. */
const ROWS_OF_AN_ALARM = 3

export interface JobRow extends Omit<CostRow, 'run' | 'before'> {
  readonly key?: string
  readonly given?: () => Promise<unknown>
}

export const runningOn = (stub: () => DurableObjectStub, jobs: readonly JobRow[]): CostRow[] =>
  jobs.map(({ key = '', given, ...row }) => ({
    ...row,
    rows: (row.rows ?? 1) + ROWS_OF_AN_ALARM,
    async before() {
      await given?.()
      await makeOnlyDue(stub(), row.of, key)
    },
    run: () => runJobsOf(stub()),
  }))

/** Makes this job the only one that is due. */
export const makeOnlyDue = (stub: DurableObjectStub, kind: string, key: string): Promise<void> =>
  runInDurableObject(stub, async (_, { storage }) => {
    storage.sql.exec('UPDATE jobs SET due = ?', FAR_AHEAD)
    storage.sql.exec(
      'INSERT INTO jobs (kind, key, due) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET due = excluded.due, attempt = 0',
      kind,
      key,
      Date.now(),
    )
    await storage.setAlarm(Date.now())
  })
