/** The sweep as a test drives it: ordered at the admin door, run by hand, read at the admin door. */
import type { AccountView, FindingClass } from '../../../src/contract/resources/account.ts'
import { type Broker, expectStatus } from '../broker/broker.ts'
import { setClock } from '../broker/clock.ts'
import { emulator } from '../broker/upstream.ts'
import { runJobs, runJobsOf } from '../storage/storage.ts'
import { accountStub } from '../storage/tenantRows.ts'

/** Runs the Account's jobs that are due by the Worker's clock. */
export const runAccountJobs = (): Promise<boolean> => runJobsOf(accountStub())

export async function accountView(broker: Broker): Promise<AccountView> {
  const answer = await broker.admin('GET', '/account')
  expectStatus(answer, 200)
  return answer.json
}

/** Orders a sweep, runs it and then the jobs of these tenants; returns the account view afterwards. */
export async function sweepNow(broker: Broker, ...tenants: string[]): Promise<AccountView> {
  expectStatus(await broker.admin('POST', '/account/sweep'), 202)
  await runAccountJobs()
  for (const tenant of tenants) await runJobs(tenant)
  return accountView(broker)
}

/** The uids that were found, by class. */
export function found({ sweep }: AccountView): Partial<Record<FindingClass, string[]>> {
  const classes = [...new Set(sweep.findings.map((finding) => finding.class))].sort()
  return Object.fromEntries(
    classes.map((name) => [name, sweep.findings.filter((finding) => finding.class === name).map(({ uid }) => uid)]),
  )
}

/** Sets both clocks, so that upstream's lags follow the broker's. `realMs`: the real time when the test began. */
export async function setBothClocks(ms: number, realMs: number): Promise<void> {
  setClock(ms)
  await emulator.settings({ clockOffsetMs: ms - realMs })
}
