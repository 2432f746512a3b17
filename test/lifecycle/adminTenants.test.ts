/** Tenants at the admin door: created, listed in pages, changed by merge patch, suspended. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { DEFAULT_POLICY } from '../../src/contract/policy/policy.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import { furnish } from '../support/contract/callers.ts'

const ACME = { id: 'acme', name: 'Acme', region: 'weur' }

const expectOutcome = (answer: Answer, outcome: string) => expect(outcomeOf(answer), shown(answer)).toBe(outcome)

describe('tenants at the admin door', () => {
  it('A tenant is created with the default policy, and shown whole', async () => {
    const broker = newBroker()
    const created = await broker.admin('POST', '/tenants', { ...ACME, policy: { maxTtl: 7_200, urls: { maxUrls: 2 } } })
    expectOutcome(created, '201')
    expect(created.headers.get('etag')).toBe('"1"')
    expect(created.json).toEqual({
      ...ACME,
      status: 'active',
      version: 1,
      policy: { ...DEFAULT_POLICY, maxTtl: 7_200, urls: { ...DEFAULT_POLICY.urls, maxUrls: 2 } },
      counts: { turnKeys: 0, apiTokens: 0, liveCredentials: 0 },
      usage: [],
      createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
      modifiedAt: created.json.createdAt,
    })
    const got = await broker.admin('GET', '/tenants/acme')
    expect(got.json, shown(got)).toEqual(created.json)
    expect(got.headers.get('etag')).toBe('"1"')
    expectOutcome(await broker.admin('POST', '/tenants', ACME), '409 conflict')
  })

  it('A tenant is created once under one Idempotency-Key, and a repeat is answered like the first request', async () => {
    const broker = newBroker()
    const headers = { 'idempotency-key': 'create-acme' }
    const first = await broker.admin('POST', '/tenants', ACME, headers)
    expectOutcome(first, '201')
    await broker.admin('PATCH', '/tenants/acme', { name: 'Renamed' })
    const again = await broker.admin('POST', '/tenants', ACME, headers)
    expect([again.status, again.json], shown(again)).toEqual([201, first.json])
    expectOutcome(await broker.admin('POST', '/tenants', { ...ACME, id: 'b' }, headers), '422 idempotency_mismatch')
    expectOutcome(await broker.admin('POST', '/tenants', ACME, { 'idempotency-key': 'another' }), '409 conflict')
    expect((await broker.admin('GET', '/tenants')).json.items).toHaveLength(1)
  })

  it('A tenant is created once by parallel requests', async () => {
    const broker = newBroker()
    const answers = await Promise.all(Array.from({ length: 5 }, () => broker.admin('POST', '/tenants', ACME)))
    expect(answers.map(outcomeOf).sort()).toEqual(['201', ...Array(4).fill('409 conflict')])
  })

  it('Tenants are listed newest first, in pages that do not overlap', async () => {
    const broker = newBroker()
    for (let n = 1; n <= 5; n++) await newTenant(broker, `t${n}`, { scopes: ['usage:read'] })
    const whole = await broker.admin('GET', '/tenants')
    expect(whole.json, shown(whole)).toMatchObject({
      nextCursor: null,
      items: [{ id: 't5' }, {}, {}, {}, { id: 't1' }],
    })
    expect(whole.json.items[0]).toEqual({
      id: 't5',
      name: 'Tenant t5',
      region: 'weur',
      status: 'active',
      createdAt: expect.any(String),
    })

    const ids: string[] = []
    let cursor: string | null = ''
    for (let page = 0; page < 3; page++) {
      const query: string = cursor === '' ? '' : `&cursor=${encodeURIComponent(cursor ?? '')}`
      const answer = await broker.admin('GET', `/tenants?limit=2${query}`)
      expectOutcome(answer, '200')
      ids.push(...answer.json.items.map(({ id }: { id: string }) => id))
      cursor = answer.json.nextCursor
      // A tenant that comes later does not move the pages.
      if (page === 0) await newTenant(broker, 'later', { scopes: ['usage:read'] })
    }
    expect(ids).toEqual(['t5', 't4', 't3', 't2', 't1'])
    expect(cursor).toBeNull()
  })

  it('A list at the admin door refuses a cursor of another list, of another tenant, and one that was changed', async () => {
    const broker = newBroker()
    for (const id of ['one', 'two']) {
      await newTenant(broker, id)
      const body = { name: 'second', scopes: ['usage:read'] }
      expectStatus(await broker.admin('POST', `/tenants/${id}/api-tokens`, body), 201)
    }
    const cursorOf = async (path: string) => String((await broker.admin('GET', `${path}?limit=1`)).json.nextCursor)
    const ofTenants = await cursorOf('/tenants')
    const ofOne = await cursorOf('/tenants/one/api-tokens')
    expectOutcome(await broker.admin('GET', `/tenants/one/api-tokens?cursor=${ofOne}`), '200')
    const changed = ofTenants.slice(0, -2) + (ofTenants.endsWith('A') ? 'BA' : 'AA')
    for (const [path, cursor] of [
      ['/tenants', ofOne],
      ['/tenants', changed],
      ['/tenants', ''],
      ['/tenants', '1'],
      ['/tenants', 'x'.repeat(2_000)],
      ['/tenants/one/api-tokens', ofTenants],
      ['/tenants/two/api-tokens', ofOne],
    ] as const) {
      expectOutcome(await broker.admin('GET', `${path}?cursor=${cursor}`), '400 invalid_request')
    }
  })

  it('A tenant is changed by merge patch: null restores the default, a list is replaced, absent fields stay', async () => {
    const broker = newBroker()
    const policy = {
      maxTtl: 7_200,
      maxTurnKeys: 2,
      allowedOrigins: ['https://a.test', 'https://b.test'],
      urls: { transports: ['tls'], maxUrls: 3 },
    }
    await broker.admin('POST', '/tenants', { ...ACME, policy })
    const patch = async (change: object) => {
      const answer = await broker.admin('PATCH', '/tenants/acme', change, {
        'content-type': 'application/merge-patch+json',
      })
      expectOutcome(answer, '200')
      expect(answer.headers.get('etag')).toBe(`"${answer.json.version}"`)
      return answer.json
    }
    const first = await patch({ name: 'New', policy: { maxTurnKeys: null, allowedOrigins: ['https://c.test'] } })
    expect(first).toMatchObject({ name: 'New', version: 2, status: 'active' })
    expect(first.policy).toEqual({ ...DEFAULT_POLICY, ...policy, maxTurnKeys: 5, allowedOrigins: ['https://c.test'] })

    const second = await patch({ policy: { urls: { transports: null } } })
    expect(second.policy.urls).toEqual({ transports: ['udp', 'tcp', 'tls'], maxUrls: 3 })
    expect((await patch({ policy: { urls: null } })).policy.urls).toEqual(DEFAULT_POLICY.urls)
    expect((await patch({ policy: null })).policy).toEqual(DEFAULT_POLICY)
    expect(await patch({})).toMatchObject({ name: 'New', policy: DEFAULT_POLICY, version: 6 })

    for (const wrong of [
      { policy: { defaultTtl: 20_000 } },
      { policy: { maxTtl: 60 } },
      { policy: { defaultKeyId: 'k'.repeat(32) } },
    ]) {
      expectOutcome(await broker.admin('PATCH', '/tenants/acme', wrong), '400 invalid_request')
    }
    expect((await broker.admin('GET', '/tenants/acme')).json.version, 'a refusal changes nothing').toBe(6)
  })

  it('A tenant takes one of its own TURN keys as the default key, and no other', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const other = await furnish(broker, 'other')
    const patch = (uid: string) => broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: uid } })
    expectOutcome(await patch(acme.keyId), '200')
    expectOutcome(await patch(other.keyId), '400 invalid_request')
    // Deleting the default promotes the newest of the others.
    const newest = await newTurnKey(broker, acme)
    expectStatus(await broker.call('DELETE', keysPath('acme', acme.keyId), acme.token), 200)
    expect((await broker.admin('GET', '/tenants/acme')).json.policy.defaultKeyId).toBe(newest)
  })

  it('A tenant is changed only at the version that If-Match names', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const { version } = (await broker.admin('GET', '/tenants/acme')).json
    const patch = (ifMatch: string) =>
      broker.admin('PATCH', '/tenants/acme', { name: ifMatch }, { 'if-match': ifMatch })
    expectOutcome(await patch(`"${version + 1}"`), '412 version_mismatch')
    expectOutcome(await patch(`"${version}"`), '200')
    expectOutcome(await patch(`"${version}"`), '412 version_mismatch')
    expectOutcome(await patch('*'), '200')
    for (const malformed of ['3', 'W/"3"', '"x"', '""', `"${'9'.repeat(20)}"`]) {
      expectOutcome(await patch(malformed), '400 invalid_request')
    }
  })

  it('A suspended tenant creates no TURN keys, and the existing ones can be read and deleted', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const patch = (status: string) => broker.admin('PATCH', '/tenants/acme', { status })
    expect((await patch('suspended')).json.status).toBe('suspended')
    await emulator.clearLog()
    expectOutcome(await broker.call('POST', keysPath('acme'), acme.token, {}), '403 31004')
    expectOutcome(await broker.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {}), '403 31004')
    expect(await emulator.log()).toEqual([])
    expectOutcome(await broker.call('GET', keysPath('acme'), acme.token), '200')
    expectOutcome(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), '200')
    expect((await broker.call('GET', '/v1/tenants/acme', acme.token)).json.status).toBe('suspended')
    expectOutcome(await broker.call('DELETE', keysPath('acme', acme.keyId), acme.token), '200')
    expect((await patch('active')).json.status).toBe('active')
    expectOutcome(await broker.call('POST', keysPath('acme'), acme.token, {}), '201')
  })

  it('An operator can use every route for TURN keys of a tenant, and is never shown a secret', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme', { scopes: ['usage:read'] })
    const operator = (method: string, uid?: string, body?: unknown) =>
      broker.call(method, keysPath('acme', uid), env.ADMIN_TOKEN, body)
    const created = await operator('POST', undefined, { name: 'operated' })
    expectOutcome(created, '201')
    expect(Object.keys(created.json.result)).not.toContain('key')
    const { uid } = created.json.result
    expect((await operator('GET')).json.result).toMatchObject([{ uid }])
    expect((await operator('GET', uid)).json.result).toMatchObject({ uid, name: 'operated' })
    expect((await operator('PUT', uid, { name: 'renamed' })).json.result).toMatchObject({ uid, name: 'renamed' })
    expectOutcome(await operator('DELETE', uid), '200')
    const self = await broker.call('GET', '/v1/tenants/acme', env.ADMIN_TOKEN)
    expect(self.json, shown(self)).toMatchObject({ id: 'acme', counts: { turnKeys: 0, apiTokens: 1 } })
  })
})
