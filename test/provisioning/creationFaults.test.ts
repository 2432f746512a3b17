/**
 * G5 and G11 for a creation: everything upstream and the network can do to the one POST. Each time the caller gets an
 * answer of the error table, the POST was made once, and after the sweep upstream holds no key the tenant does not know.
 */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import { Dressing, Shape } from '../../emulator/faults/faults.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newTenant } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, setClock, within } from '../support/broker/clock.ts'
import { expectFailure, expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, keyRows } from '../support/storage/tenantRows.ts'

type Fault = FaultOrderInput['fault']
const CREATE_DEADLINE_MS = 12_000
/** Just after each look of a doubtful creation. */
const LOOKS_MS = [1.1 * MINUTE_MS, 5.1 * MINUTE_MS, 15.1 * MINUTE_MS, 60.1 * MINUTE_MS, 24.1 * HOUR_MS]

/** What becomes of the creation: a key; a final no; a no for now; a doubt, settled in the background. */
type Outcome = 'created' | 'refused' | 'wait' | 'doubt'

function expectOutcome(answer: Answer, outcome: Outcome): void {
  if (outcome === 'created') {
    expectStatus(answer, 201)
  } else if (outcome === 'wait') {
    expectFailure(answer, 'upstream_unavailable')
    expect(answer.headers.get('retry-after')).not.toBeNull()
    expect(answer.headers.get('x-should-retry')).toBeNull()
  } else {
    expectFailure(answer, outcome === 'refused' ? 'upstream_failed' : 'outcome_unknown')
    expectNoRepeat(answer)
  }
}

/** Lets every look come and go; then nothing may be unfinished, and both sides agree on what there is. */
async function expectAgreement(tenant: string, begunAt: number, outcome: Outcome): Promise<void> {
  const doubtful = (await keyRows(tenant)).some(({ state }) => state === 'unknown' || state === 'creating')
  expect(doubtful).toBe(outcome === 'doubt')
  for (const look of LOOKS_MS) {
    if ((await jobRows(tenant)).length === 0) break
    setClock(begunAt + look)
    await runJobs(tenant)
  }
  const rows = await keyRows(tenant)
  expect(rows.map(({ state }) => state)).toEqual([outcome === 'created' ? 'active' : 'failed'])
  expect(await jobRows(tenant)).toEqual([])
  const known = rows.filter(({ state }) => state === 'active').map(({ uid }) => uid)
  expect((await liveKeys()).map(({ uid }) => uid)).toEqual(known)
}

async function expectBorne(fault: Fault, outcome: Outcome): Promise<void> {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write', 'turn_keys:reveal'] })
  await emulator.fault({ operation: 'create', fault })
  const begunAt = Date.now()
  const asked = broker.call('POST', keysPath('acme'), acme.token, { name: 'first' })
  const answer = await within(CREATE_DEADLINE_MS, 'the creation is answered', asked)
  expectOutcome(answer, outcome)
  // Upstream's own words are never passed on, least of all the account's token.
  expect(answer.text).not.toMatch(/Played|Something went wrong|Authentication|DOCTYPE/)
  expect(answer.text).not.toContain(String(env.CALLS_API_TOKEN))
  expect(await countAsked('create')).toBe(1)
  expect(await countAsked('unknown')).toBe(0)
  await expectAgreement('acme', begunAt, outcome)
}

const statuses: [string, Fault, Outcome][] = [
  ...[500, 502, 503, 504, 520].flatMap((status): [string, Fault, Outcome][] => [
    [`${status}, and nothing happened`, { kind: 'status', status }, 'doubt'],
    [`${status}, and it happened`, { kind: 'status', status, when: 'after' }, 'doubt'],
  ]),
  ['500 as HTML', { kind: 'status', status: 500, body: 'html', when: 'after' }, 'doubt'],
  ['503 without a body', { kind: 'status', status: 503, body: 'empty', when: 'after' }, 'doubt'],
  ['408, which says nothing of what happened', { kind: 'status', status: 408, when: 'after' }, 'doubt'],
  ['500 that speaks of no such key', { kind: 'status', status: 500, code: 20008, when: 'after' }, 'doubt'],
  ['200 that speaks of no such key', { kind: 'status', status: 200, code: 20008, when: 'after' }, 'doubt'],
  ['200 with a failure', { kind: 'status', status: 200, when: 'after' }, 'doubt'],
  ['201 with HTML', { kind: 'status', status: 201, body: 'html', when: 'after' }, 'doubt'],
  ['201 without a body', { kind: 'status', status: 201, body: 'empty', when: 'after' }, 'doubt'],
  ['304', { kind: 'status', status: 304, body: 'empty', when: 'after' }, 'doubt'],
  ...[400, 401, 403, 405, 409, 413, 422].map((status): [string, Fault, Outcome] => [
    `${status}`,
    { kind: 'status', status },
    'refused',
  ]),
  ['404 as HTML', { kind: 'status', status: 404, body: 'html' }, 'refused'],
  ['404 for the route', { kind: 'status', status: 404, code: 7003 }, 'refused'],
  ['403 without a body', { kind: 'status', status: 403, body: 'empty' }, 'refused'],
  ['401 that repeats the token', { kind: 'echo', status: 401 }, 'refused'],
  ['403 that repeats the token', { kind: 'echo', status: 403 }, 'refused'],
]

const dressings = Dressing.options
const waits = dressings.map((dressing): [string, Fault, Outcome] => [
  `429 dressed as ${dressing}`,
  { kind: 'rate-limit', dressing },
  'wait',
])

const shapes = Shape.exclude(['foreign-uid']).options
const lies = shapes.map((shape): [string, Fault, Outcome] => [
  `an answer of shape ${shape}`,
  { kind: 'shape', shape },
  'doubt',
])

const redirects = ([301, 302, 303, 307, 308] as const).map((status): [string, Fault, Outcome] => [
  `${status} to where an evil twin would listen`,
  { kind: 'redirect', status, location: '/client/v4/elsewhere' },
  'doubt',
])

const connections: [string, Fault, Outcome][] = [
  ['a reset before the body was read', { kind: 'reset', at: 'before-body' }, 'doubt'],
  ['a reset, and nothing happened', { kind: 'reset', at: 'after-body', when: 'before' }, 'doubt'],
  ['a reset, and it happened', { kind: 'reset', at: 'after-body' }, 'doubt'],
  ['a reset in the middle of the answer', { kind: 'reset', at: 'mid-response' }, 'doubt'],
  ['an answer cut short of its length', { kind: 'truncate', by: 'content-length' }, 'doubt'],
  ['an answer with half its JSON', { kind: 'truncate', by: 'json' }, 'doubt'],
  ['an answer that drips, and is right', { kind: 'drip', everyMs: 0 }, 'created'],
  ['an answer that comes late, and is right', { kind: 'delay', ms: 100 }, 'created'],
  ['a request that waits, and goes through', { kind: 'delay', ms: 100, when: 'before' }, 'created'],
]

describe('G5: one creation leaves at most one usable key, after', () => {
  it.each([...statuses, ...waits])(
    'G5: One creation leaves at most one usable key, after %s',
    (_name, fault, outcome) => expectBorne(fault, outcome),
  )
  it.each([...lies, ...redirects, ...connections])(
    'G5: One creation leaves at most one usable key, after %s',
    (_name, fault, outcome) => expectBorne(fault, outcome),
  )

  it('G5: One creation leaves at most one usable key, after silence: before the headers, within the body, and a body that would drip for an hour', async () => {
    const broker = newBroker()
    const faults: Fault[] = [
      { kind: 'hang', at: 'before-headers' },
      { kind: 'hang', at: 'mid-body' },
      { kind: 'drip', everyMs: 15_000 },
    ]
    const tenants = await Promise.all(faults.map((_, n) => newTenant(broker, `acme-${n}`)))
    for (const fault of faults) await emulator.fault({ operation: 'create', fault })
    const begunAt = Date.now()
    const asked = tenants.map(({ id, token }) => broker.call('POST', keysPath(id), token, {}))
    const answers = await within(CREATE_DEADLINE_MS, 'every creation is answered', Promise.all(asked))
    expect(await countAsked('create')).toBe(3)
    for (const answer of answers) expectOutcome(answer, 'doubt')
    expect(await liveKeys()).toHaveLength(3)
    setClock(begunAt + 1.5 * MINUTE_MS)
    for (const { id } of tenants) {
      await runJobs(id)
      expect(await keyRows(id)).toMatchObject([{ state: 'failed' }])
    }
    expect(await liveKeys()).toEqual([])
  })
})
