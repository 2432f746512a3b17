/**
 * What must hold after every cell of the fault matrix, once the jobs have had their time: at most one usable key for
 * a scenario, no orphan, no secret lost while in use, nothing unfinished, no secret where none belongs.
 */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import type { ShownState } from '../../../emulator/client.ts'
import { open } from '../../../src/crypto/seal.ts'
import { parseConfig } from '../../../src/env.ts'
import type { Broker } from '../broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, setClock } from '../broker/clock.ts'
import { emulator } from '../broker/upstream.ts'
import { leaks, type Secret } from '../secrets/secrets.ts'
import { STANDING } from '../secrets/secretWatch.ts'
import { everythingStored, runJobs } from '../storage/storage.ts'
import { keyRows, tenantSql, tenantStub } from '../storage/tenantRows.ts'
import { sweepNow } from '../tenants/sweeps.ts'

/** Work that never ends: it keeps the tables small. */
const PERIODIC = "('prune', 'count-refusals')"
const MOST_ROUNDS = 300
/** What is due about the same time is done at once. */
const TOGETHER_MS = 15 * MINUTE_MS

/**
 * Lets every job of a tenant come to its end, moving the clock to each, or those due until a point in time. What is
 * wrong with that, if anything.
 */
export async function recover(
  tenant: string,
  { alarmBroken = false, until = Number.POSITIVE_INFINITY } = {},
): Promise<string[]> {
  // The runtime calls an alarm again whose handler did not come to its end.
  if (alarmBroken) await runInDurableObject(tenantStub(tenant), (_, { storage }) => storage.setAlarm(Date.now()))
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const [next] = await tenantSql(
      tenant,
      `SELECT kind, due FROM jobs WHERE kind NOT IN ${PERIODIC} ORDER BY due LIMIT 1`,
    )
    if (!next || Number(next.due) > until) return []
    setClock(Math.max(Date.now(), Number(next.due) + TOGETHER_MS))
    if (!(await runJobs(tenant))) return [`the job ${next.kind} has no alarm`]
  }
  const left = await tenantSql(tenant, `SELECT kind, key, attempt FROM jobs WHERE kind NOT IN ${PERIODIC}`)
  return [`jobs do not come to an end: ${JSON.stringify(left)}`]
}

/** Sweeps until there is nothing new to find: each asks for a few keys of a tenant only. */
export async function sweepAll(broker: Broker, tenant: string): Promise<void> {
  let before: string
  let now = ''
  do {
    before = now
    passTime(HOUR_MS)
    const { sweep } = await sweepNow(broker, tenant)
    now = sweep.findings.map(({ uid }) => uid).join()
  } while (now !== before)
}

export interface Aftermath {
  readonly rows: Awaited<ReturnType<typeof keyRows>>
  readonly ledger: Awaited<ReturnType<typeof tenantSql>>
  /** The ledger before any time has passed. */
  readonly issued: Awaited<ReturnType<typeof tenantSql>>
  readonly upstream: ShownState
}

export async function aftermath(tenant: string): Promise<Aftermath> {
  const [rows, ledger, upstream] = await Promise.all([
    keyRows(tenant),
    tenantSql(tenant, 'SELECT username, state, key_uid FROM credentials'),
    emulator.state(),
  ])
  return { rows, ledger, issued: ledger, upstream }
}

export const liveOf = ({ upstream }: Aftermath) => upstream.keys.filter(({ deleted }) => deleted === null)

const AT_REST = ['active', 'deleted', 'failed', 'missing']

/** The tenant's rows and upstream's keys against each other: no other tenant has any. */
export async function disagreements(tenant: string, after: Aftermath): Promise<string[]> {
  const found: string[] = []
  const active = after.rows.filter(({ state }) => state === 'active')
  // Upstream said that it is not there: it is looked up again when somebody asks.
  const missing = after.rows.filter(({ state }) => state === 'missing')
  const live = liveOf(after)
  for (const { name, state } of after.rows) {
    if (!AT_REST.includes(String(state))) found.push(`${name}: still ${state}`)
  }
  for (const { uid, name } of live) {
    const owners = [...active, ...missing].filter((row) => row.uid === uid)
    // A key without our marker is somebody's own.
    const isOurs = name.startsWith('tb.test.')
    if (owners.length > 1 || (isOurs && owners.length === 0)) found.push(`${name}: an orphan upstream, in no row`)
  }
  for (const row of active) {
    if (!live.some(({ uid }) => uid === row.uid)) found.push(`${row.name}: active here, not there upstream`)
    if (row.pending_name !== null) found.push(`${row.name}: a rename without an end`)
  }
  for (const { username, state } of after.ledger) {
    const known = after.upstream.credentials.find((each) => each.username === username)
    if (state === 'revoking') found.push(`a credential is still being revoked`)
    if (state === 'revoked' && known?.revoked !== true) found.push(`a credential is revoked here only`)
  }
  return [...found, ...(await unusable(tenant, active))]
}

/** Secrets that are lost: active rows whose key does not open, or does not mint. */
async function unusable(tenant: string, active: Aftermath['rows']): Promise<string[]> {
  const parsed = parseConfig(env)
  if (!parsed.ok) throw new Error('the tests are misconfigured')
  const { rootKeys } = parsed.config
  const tried = active.map(async ({ uid, name, sealed, secret_version }) => {
    const place = {
      purpose: 'turn-key-secret',
      tenant,
      record: String(uid),
      version: Number(secret_version),
    } as const
    const secret = sealed === null ? undefined : await open(rootKeys, place, String(sealed))
    if (secret === undefined) return [`${name}: its secret does not open`]
    const answer = await fetch(`${env.CLOUDFLARE_RTC_URL}/turn/keys/${uid}/credentials/generate-ice-servers`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secret}`, 'content-type': 'application/json' },
      body: JSON.stringify({ ttl: 60 }),
    })
    await answer.body?.cancel()
    return answer.status === 201 ? [] : [`${name}: its secret does not mint`]
  })
  return (await Promise.all(tried)).flat()
}

/** Every secret there is, in what was answered, logged and stored. */
export async function shownSecrets(answered: string, logged: string): Promise<string[]> {
  const { keys, credentials } = await emulator.secrets()
  const secrets: Secret[] = [
    ...STANDING,
    ...keys.map(({ key }) => ({ name: 'a key’s secret', value: key })),
    ...credentials.map(({ credential }) => ({ name: 'a password', value: credential })),
  ]
  const stored = await everythingStored()
  return Object.entries({ answered, logged, stored }).flatMap(([where, text]) =>
    [...new Set(leaks(text, secrets))].map((leak) => `${where}: ${leak}`),
  )
}
