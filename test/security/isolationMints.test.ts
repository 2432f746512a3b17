/** G3: what one tenant mints, exhausts, revokes, bans or waits for is its own. */

import { describe, expect, it } from 'vitest'
import { newBroker } from '../support/broker/broker.ts'
import { DAY_MS } from '../support/broker/clock.ts'
import { allowing, askIceServers, clientToken, credentialsPath, served, tenantPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { expectOutcome, tally, usable } from '../support/tenants/issuing.ts'

/** Two tenants alike, each with a client token for a subject of the same name. */
async function twins(policy: object = {}) {
  const broker = newBroker()
  const both = { policy: { reuse: false, ...policy } }
  const of = async (id: string) => {
    const tenant = await served(broker, id, both)
    const token = await clientToken(broker, tenant, { ttl: 3_600 })
    return {
      ...tenant,
      ice: (edge = broker) => askIceServers(edge, id, token),
      generate: () => broker.call('POST', credentialsPath(tenant.uid, 'generate'), tenant.token, {}),
      post: (path: string, body: object, headers = {}) =>
        broker.call('POST', tenantPath(id, path), tenant.token, body, headers),
    }
  }
  return { broker, acme: await of('acme'), other: await of('other') }
}

describe('G3: mints', () => {
  it.each([
    ['subject_limit', { maxLiveCredentialsPerSubject: 1 }],
    ['tenant_limit', { maxLiveCredentials: 1 }],
    ['tenant_limit', { maxMintsPerMinute: 1 }],
  ])('G3: Mints at the %s of one tenant leave another what it has', async (code, policy) => {
    const { acme, other } = await twins(policy)
    expectOutcome(await acme.ice(), '201')
    for (let round = 0; round < 3; round++) expectOutcome(await acme.ice(), `429 ${code}`)
    expectOutcome(await other.ice(), '201')
    expectOutcome(await other.ice(), `429 ${code}`)
  })

  it('G3: Mints of many at once stop at the limit of each tenant, and at no other', async () => {
    const { acme, other } = await twins({ maxLiveCredentials: 8, maxLiveCredentialsPerSubject: 100 })
    const answers = await Promise.all(Array.from({ length: 24 }, (_, n) => (n % 2 === 0 ? acme.ice() : other.ice())))
    expect(tally(answers.filter((_, n) => n % 2 === 0))).toEqual({ 201: 8, '429 tenant_limit': 4 })
    expect(tally(answers.filter((_, n) => n % 2 === 1))).toEqual({ 201: 8, '429 tenant_limit': 4 })
  })

  it('G3: Mints of a tenant that floods, or hangs upstream with its queue, hold up no other tenant', async () => {
    const { acme, other } = await twins({ maxLiveCredentialsPerSubject: 100 })
    await emulator.fault({
      operation: 'generate-ice-servers',
      fault: { kind: 'hold', id: 'slow', when: 'before' },
      times: 'always',
      uid: acme.uid,
    })
    const held = Array.from({ length: 12 }, () => acme.ice())
    await emulator.untilHeld('slow', { count: 3 })
    for (const answer of [await other.ice(), await other.generate()]) expectOutcome(answer, '201')
    await emulator.clearFaults()
    // The next of the queue come as these go.
    await emulator.release('slow')
    expect(tally(await Promise.all(held))).toEqual({ 201: 12 })
  })

  it('G3: Mints of a tenant whose key upstream refuses fail for it alone', async () => {
    const { acme, other } = await twins()
    await emulator.fault({
      operation: 'generate-ice-servers',
      fault: { kind: 'rate-limit' },
      times: 'always',
      uid: acme.uid,
    })
    for (let round = 0; round < 3; round++) expect((await acme.ice()).status).toBeGreaterThanOrEqual(500)
    expectOutcome(await other.ice(), '201')
  })

  it('G3: Mints of a subject are slowed by the rate of its own tenant, not by its namesake elsewhere', async () => {
    const { acme, other } = await twins()
    const limits = new Map<string, RateLimit>()
    const RATE_SUBJECT: RateLimit = {
      limit: (options) => {
        const own = limits.get(options.key) ?? allowing(1)
        limits.set(options.key, own)
        return own.limit(options)
      },
    }
    const edge = newBroker({ RATE_SUBJECT })
    expectOutcome(await acme.ice(edge), '201')
    expectOutcome(await acme.ice(edge), '429 rate_limited')
    expectOutcome(await other.ice(edge), '201')
  })
})

describe('G3: taking back', () => {
  it('G3: Taking back everything of one tenant, or a subject by a name both have, leaves the other its own', async () => {
    const { acme, other } = await twins()
    const until = new Date(Date.now() + DAY_MS).toISOString()
    for (const tenant of [acme, other]) expectOutcome(await tenant.ice(), '201')
    const revoked = await acme.post('revocations', { subject: 'alice', banUntil: until })
    expect(revoked.json.matched, revoked.text).toBe(1)
    expectOutcome(await acme.post('revocations', { all: true }), '202')
    expectOutcome(await acme.post('bans', { tokenId: acme.tokenId, until }), '201')
    expectOutcome(await acme.ice(), '403 subject_banned')
    expectOutcome(await other.ice(), '201')
    expect((await usable()).length).toBeGreaterThanOrEqual(2)
    const left = (await emulator.state()).credentials.filter(({ uid }) => uid === other.uid)
    expect(left.map(({ revoked }) => revoked)).toEqual([false, false])
  })

  it('G3: Taking back means something else under the same Idempotency-Key of another tenant', async () => {
    const { acme, other } = await twins()
    const headers = { 'idempotency-key': 'the-same' }
    const [first, second] = [
      await acme.post('revocations', { all: true }, headers),
      await other.post('revocations', { subject: 'alice' }, headers),
    ]
    expectOutcome(first, '202')
    expectOutcome(second, '202')
    expect(second.json.id).not.toBe(first.json.id)
    expect((await acme.post('revocations', { all: true }, headers)).json.id).toBe(first.json.id)
    expectOutcome(await acme.post('revocations', { subject: 'alice' }, headers), '422 idempotency_mismatch')
  })
})
