/** Floods in the audit trail: refusals share one counted row, forged tokens write none. And the daily counters. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { newApiTokenId } from '../../src/auth/apiTokens.ts'
import type { Tenant } from '../../src/tenant/tenant.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS, setClock } from '../support/broker/clock.ts'
import {
  askIceServers,
  auditOf,
  clientToken,
  credentialsPath,
  expectProblem,
  generate,
  revokePath,
  served,
  tenantPath,
} from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { leakedCheckToken } from '../support/secrets/apiTokens.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'

async function acmeServed() {
  const broker = newBroker()
  return { broker, acme: await served(broker) }
}

const countRows = async () => Number((await tenantSql('acme', 'SELECT count(*) AS n FROM audit_events'))[0]?.n)

/** Sends requests of alice with too long a ttl to the object itself, past the HTTP doors. */
const refuseInside = (tokenId: string, times: number) =>
  runInDurableObject(tenantStub('acme'), async (object: Tenant) => {
    const asker = { kind: 'client-token', tokenId, boundOrigin: null, credentialTtlSeconds: null } as const
    for (let n = 0; n < times; n++) {
      await object.issue({
        requestId: crypto.randomUUID(),
        asker,
        subject: 'alice',
        requestedTtlSeconds: 100_000,
        keyId: null,
        origin: null,
        reuse: 'allowed',
      })
    }
  })

describe('a flood of requests', () => {
  const flood = async (times: number, ask: (n: number) => Promise<{ status: number }>): Promise<number[]> => {
    const answers: { status: number }[] = []
    for (let n = 0; n < times; n += 50)
      answers.push(...(await Promise.all(Array.from({ length: 50 }, (_, i) => ask(n + i)))))
    return [...new Set(answers.map(({ status }) => status))]
  }

  it('A thousand refusals of one subject share one audit row, whose count is exact after the minute', async () => {
    const { broker, acme } = await acmeServed()
    const [alice, bob] = [await clientToken(broker, acme), await clientToken(broker, acme, { subject: 'bob' })]
    for (const token of [alice, bob]) expectStatus(await askIceServers(broker, 'acme', token), 201)
    const minute = Math.ceil(Date.now() / MINUTE_MS + 2) * MINUTE_MS
    setClock(minute)
    const refuse = (token: string) => askIceServers(broker, 'acme', token, { body: { ttl: 100_000 } })
    expectProblem(await refuse(alice), 'ttl_too_long')
    await refuseInside(acme.tokenId, 999)
    for (let n = 0; n < 3; n++) expectProblem(await refuse(bob), 'ttl_too_long')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    for (let n = 0; n < 2; n++) expectProblem(await refuse(alice), 'tenant_suspended')
    const counts = async () =>
      (await auditOf(broker, 'acme', '&outcome=refused')).map(({ code, count }) => `${code} ${count}`)
    expect(await counts()).toHaveLength(3)

    setClock(minute + MINUTE_MS)
    await runJobs('acme')
    const first = ['tenant_suspended 2', 'ttl_too_long 3', 'ttl_too_long 1000']
    expect(await counts()).toEqual(first)
    expectProblem(await refuse(alice), 'tenant_suspended')
    expect(await counts()).toEqual(['tenant_suspended 1', ...first])
  })

  it('A flood of refusals has its count in the audit trail 5 s later, before the object is put to sleep', async () => {
    const { broker, acme } = await acmeServed()
    setClock(Math.ceil(Date.now() / MINUTE_MS + 2) * MINUTE_MS)
    const count = async () => (await auditOf(broker, 'acme', '&outcome=refused')).map((row) => row.count)
    await refuseInside(acme.tokenId, 50)
    expect(await count()).toEqual([1])
    for (const expected of [50, 60]) {
      passTime(5 * SECOND_MS)
      await runJobs('acme')
      expect(await count()).toEqual([expected])
      await refuseInside(acme.tokenId, 10)
    }
    // One row in `jobs` for all of them, and none while nothing is counted.
    expect(await tenantSql('acme', "SELECT kind FROM jobs WHERE kind = 'count-refusals'")).toHaveLength(1)
    passTime(5 * SECOND_MS)
    await runJobs('acme')
    expect(await tenantSql('acme', "SELECT kind FROM jobs WHERE kind = 'count-refusals'")).toEqual([])
  })

  it('Forged client tokens and API tokens write no audit row and cause no call upstream', async () => {
    const { broker, acme } = await acmeServed()
    const [before, asked] = [await countRows(), (await emulator.log()).length]
    const forged = (n: number) => leakedCheckToken('acme', n % 2 ? acme.tokenId : newApiTokenId())
    const paths = [
      credentialsPath(acme.uid, 'generate'),
      credentialsPath(acme.uid, 'generate-ice-servers'),
      revokePath(acme.uid, 'x'),
      tenantPath('acme', 'client-tokens'),
    ]
    const body = { subject: 'alice' }
    expect(await flood(100, async (n) => broker.call('POST', paths[n % 4] ?? '', await forged(n), body))).toEqual([401])
    expect(
      await flood(50, async (n) => broker.call('GET', tenantPath('acme', 'turn-rest?service=turn'), await forged(n))),
    ).toEqual([401])
    expect(await flood(100, (n) => askIceServers(broker, 'acme', `${n}.forged.token`))).toEqual([401])
    expect(await countRows()).toBe(before)
    expect((await emulator.log()).length).toBe(asked)
  })
})

describe('daily usage', () => {
  it('GET tenant shows how many credentials were issued, reused, revoked and expired on each day', async () => {
    const { broker, acme } = await acmeServed()
    const token = await clientToken(broker, acme)
    for (let n = 0; n < 3; n++) expectStatus(await askIceServers(broker, 'acme', token), 201)
    const { username } = await generate(broker, acme, { ttl: 60 })
    await generate(broker, acme, { ttl: 60 })
    expectStatus(await broker.call('POST', revokePath(acme.uid, username), acme.token), 204)
    const day = new Date().toISOString().slice(0, 10)
    const self = async () => (await broker.call('GET', '/v1/tenants/acme', acme.token)).json
    expect(await self()).toMatchObject({
      usage: [{ day, issued: 3, reused: 2, revoked: 1, expired: 0 }],
      counts: { liveCredentials: 2 },
    })

    // An expired credential is counted when its row is pruned, which may be on the next day.
    setClock(Date.now() + 63 * MINUTE_MS)
    await runJobs('acme')
    const { usage, counts } = await self()
    const sum = (name: 'issued' | 'reused' | 'revoked' | 'expired') =>
      usage.reduce((total: number, each: Record<string, number>) => total + Number(each[name]), 0)
    expect([sum('issued'), sum('reused'), sum('revoked'), sum('expired'), counts.liveCredentials]).toEqual([
      3, 2, 1, 2, 0,
    ])
  })
})
