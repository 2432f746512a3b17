/** The audit trail: one row per decision, which names ids only; read through filters and pages. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { keyedDigest } from '../../src/crypto/mac.ts'
import { type Broker, expectStatus, newBroker, newTenant, newToken, newTurnKey } from '../support/broker/broker.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import {
  APP,
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
import { ringOf } from '../support/secrets/forger.ts'
import { rowsOf, tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'

async function acmeServed(policy: object = {}) {
  const broker = newBroker()
  return { broker, acme: await served(broker, 'acme', { policy }) }
}

const list = (broker: Broker, { id, token }: { id: string; token: string }, query = '') =>
  broker.call('GET', tenantPath(id, `audit-events${query}`), token)

describe('the audit trail', () => {
  it('The audit trail has one row for each decision: actor, action, target, subject, outcome and request', async () => {
    const { broker, acme } = await acmeServed({ maxLiveCredentialsPerSubject: 1 })
    const api = `api-token:${acme.tokenId}`
    const client = `client-token:${acme.tokenId}`
    const before = (await auditOf(broker, 'acme')).length
    const token = await clientToken(broker, acme)

    const minted = await askIceServers(broker, 'acme', token, { origin: APP })
    const reused = await askIceServers(broker, 'acme', token, { origin: APP })
    const refused = await askIceServers(broker, 'acme', token, { origin: APP, body: { ttl: 60 } })
    const served = await broker.call('POST', credentialsPath(acme.uid, 'generate'), acme.token, {})
    const revoked = await broker.call('POST', revokePath(acme.uid, served.json.iceServers.username), acme.token)
    expect([minted, reused, refused, served, revoked].map(outcomeOf)).toEqual([
      '201',
      '201',
      '429 subject_limit',
      '201',
      '204',
    ])

    const [events, [first, second]] = [
      (await auditOf(broker, 'acme')).reverse().slice(before),
      await tenantSql('acme', 'SELECT id, subject_id, username FROM credentials ORDER BY seq'),
    ]
    const id = (answer: { headers: Headers }) => answer.headers.get('x-request-id')
    const keys = ringOf(env.ROOT_KEYS)
    const digest = (username: unknown) =>
      keyedDigest(keys, { purpose: 'audit-digest', tenant: 'acme' }, String(username))
    const row = { target: null, subjectId: null, outcome: 'done', code: null, count: 1, origin: null, digest: null }
    const alice = first?.subject_id
    expect(events.map(({ seq, at, ...event }) => event)).toEqual([
      { ...row, actor: api, action: 'client_token.create', requestId: expect.any(String) },
      {
        ...row,
        actor: client,
        action: 'credential.issue',
        target: first?.id,
        subjectId: alice,
        requestId: id(minted),
        origin: APP,
        digest: await digest(first?.username),
      },
      {
        ...row,
        actor: client,
        action: 'credential.reuse',
        target: first?.id,
        subjectId: alice,
        requestId: id(reused),
        origin: APP,
      },
      {
        ...row,
        actor: client,
        action: 'credential.issue',
        subjectId: alice,
        requestId: id(refused),
        origin: APP,
        outcome: 'refused',
        code: 'subject_limit',
      },
      {
        ...row,
        actor: api,
        action: 'credential.issue',
        target: second?.id,
        requestId: id(served),
        digest: await digest(second?.username),
      },
      { ...row, actor: api, action: 'credential.revoke', target: second?.id, requestId: id(revoked) },
      { ...row, actor: 'broker', action: 'credential.revoked', target: second?.id, requestId: null },
    ])
    const seqs = events.map(({ seq }) => seq)
    expect(seqs).toEqual(seqs.map((_, n) => Number(seqs[0]) + n))
    for (const { at } of events) expect(Math.abs(Date.parse(at) - Date.now())).toBeLessThan(60_000)

    // Subjects and credentials appear as ids and keyed hashes only.
    const text = JSON.stringify((await rowsOf(tenantStub('acme'))).audit_events)
    const { credentials } = await emulator.secrets()
    for (const secret of ['alice', ...credentials.flatMap(Object.values)]) expect(text).not.toContain(secret)
  })

  it('Failures upstream share one audit row for each minute', async () => {
    const { broker, acme } = await acmeServed()
    await emulator.fault({
      operation: 'generate-ice-servers',
      fault: { kind: 'shape', shape: 'html' },
      times: 'always',
    })
    for (let n = 0; n < 3; n++)
      await broker.call('POST', credentialsPath(acme.uid, 'generate'), acme.token, { customIdentifier: 'alice' })
    const events = await auditOf(broker, 'acme', '&action=credential.issue')
    expect(events).toMatchObject([{ outcome: 'failed', code: 'upstream_failed', target: null, digest: null }])
  })

  it('The audit trail can be filtered by each of its fields, and is refused to a token without its scope', async () => {
    const { broker, acme } = await acmeServed()
    const token = await clientToken(broker, acme)
    await askIceServers(broker, 'acme', token)
    await askIceServers(broker, 'acme', token, { body: { ttl: 15_000 } })
    await generate(broker, acme, { customIdentifier: 'bob' })
    const all = await auditOf(broker, 'acme')
    const values = (name: 'actor' | 'action' | 'target' | 'outcome' | 'code' | 'subjectId') => [
      ...new Set(all.map((event) => event[name])),
    ]
    for (const name of ['actor', 'action', 'target', 'outcome', 'code', 'subjectId'] as const) {
      for (const value of values(name).filter((each) => each !== null)) {
        const found = await auditOf(broker, 'acme', `&${name}=${encodeURIComponent(value)}`)
        expect(found, `${name}=${value}`).toEqual(all.filter((event) => event[name] === value))
      }
      expect(await auditOf(broker, 'acme', `&${name}=${encodeURIComponent("x' OR 1=1 --")}`)).toEqual([])
      expect(await auditOf(broker, 'acme', `&${name}=`)).toEqual([])
      expectProblem(await list(broker, acme, `?${name}=${'x'.repeat(129)}`), 'invalid_request')
    }
    const both = await auditOf(broker, 'acme', '&action=credential.issue&outcome=refused')
    expect(both).toMatchObject([{ code: 'ttl_too_long' }])
    const other = await newToken(broker, 'acme', ['credentials:read', 'tenant:read', 'usage:read'])
    expectProblem(await list(broker, { id: 'acme', ...other }), 'insufficient_scope')
  })

  it('The audit trail is read in pages, whose cursors open for the same tenant, list and filter only', async () => {
    const { broker, acme } = await acmeServed()
    const globex = await served(broker, 'globex')
    for (let n = 0; n < 6; n++) await generate(broker, acme)
    const all = await auditOf(broker, 'acme')
    const pages: unknown[] = []
    let cursor: string | null = ''
    const cursors: string[] = []
    while (cursor !== null) {
      const answer = await list(broker, acme, `?limit=3${cursor === '' ? '' : `&cursor=${cursor}`}`)
      expectStatus(answer, 200)
      expect(Object.keys(answer.json)).toEqual(['items', 'nextCursor'])
      pages.push(...answer.json.items)
      cursor = answer.json.nextCursor
      if (cursor !== null) cursors.push(cursor)
    }
    expect(pages).toEqual(all)
    expect(new Set(cursors).size).toBe(Math.ceil(all.length / 3) - 1)
    const [firstCursor = ''] = cursors
    const again = await list(broker, acme, '?limit=3')
    expect(again.json.nextCursor, 'cursors are sealed: two for the same place differ').not.toBe(firstCursor)

    const paths = ['?action=credential.issue&', '?outcome=done&', '?actor=x&'].map((query) =>
      tenantPath('acme', `audit-events${query}`),
    )
    const others = [tenantPath('acme', 'credentials?'), tenantPath('acme', 'bans?'), ...paths]
    for (const path of others)
      expectProblem(await broker.call('GET', `${path}cursor=${firstCursor}`, acme.token), 'invalid_request')
    expectProblem(await list(broker, globex, `?cursor=${firstCursor}`), 'invalid_request')
    for (const bad of [
      '',
      'x',
      '1',
      firstCursor.slice(0, -1),
      `${firstCursor}A`,
      firstCursor.toLowerCase(),
      'x'.repeat(600),
    ])
      expectProblem(await list(broker, acme, `?cursor=${encodeURIComponent(bad)}`), 'invalid_request')
    for (const bad of ['0', '101', '-1', '1.5', '1e1', 'x', '', ' 1'])
      expectProblem(await list(broker, acme, `?limit=${bad}`), 'invalid_request')
    expectStatus(await list(broker, { id: 'acme', token: env.ADMIN_TOKEN }, `?cursor=${firstCursor}`), 200)
  })
})

it('A mint that is refused at its commit has one audit row, with the digest of the minted credential', async () => {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write', 'credentials:issue'] })
  const uid = await newTurnKey(broker, acme)
  await emulator.hold('generate-ice-servers', 'mint', { when: 'after' })
  const path = `/v1/turn/keys/${uid}/credentials/generate`
  const answer = broker.call('POST', path, acme.token, { ttl: 60, customIdentifier: 'alice' })
  await emulator.untilHeld('mint')
  expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
  await emulator.release('mint')
  expect((await answer).status).toBe(403)
  const trail = await broker.call('GET', '/v1/tenants/acme/audit-events?action=credential.issue', env.ADMIN_TOKEN)
  expect(trail.json.items, trail.text).toMatchObject([{ outcome: 'refused', code: 'tenant_suspended' }])
  expect(trail.json.items[0].digest).not.toBeNull()
})
