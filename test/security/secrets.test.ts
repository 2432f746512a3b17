/** G2: no token, key secret or root key is ever logged, stored in clear, cached or answered to whom it is not for. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import { type Broker, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { NOBODYS, pathOf, routes } from '../support/contract/callers.ts'
import { formsOf, leaks, type Secret } from '../support/secrets/secrets.ts'
import { FAULTS, leaksIn, recorded, STANDING, watchLogs } from '../support/secrets/secretWatch.ts'
import { everythingStored, runJobs, tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'

/** In each place of a path. */
const everywhere = (text: string) => Object.fromEntries(Object.keys(NOBODYS).map((name) => [name, text]))

/** Every route by every kind of caller, every fault of upstream's, and secrets where they do not belong. */
async function live() {
  const made: Secret[] = []
  const { call, make, answers } = recorded(newBroker())
  const admin = (method: string, path: string, body?: unknown) =>
    call(method, `/v1/admin${path}`, env.ADMIN_TOKEN, body)
  const token = async (path: string, body: object) => {
    const answer = await make('POST', `/v1/admin/tenants/acme/api-tokens${path}`, env.ADMIN_TOKEN, body)
    const { id, token: value } = answer.json
    made.push({ name: 'an API token', value }, { name: "an API token's secret part", value: value.split('_')[3] })
    return { id: String(id), value: String(value) }
  }
  await admin('POST', '/tenants', { id: 'acme', name: 'Acme', region: 'weur', policy: { maxTurnKeys: 100 } })
  const old = await token('', { name: 'all', scopes: [...SCOPES] })
  const all = await token(`/${old.id}/roll`, { overlapSeconds: 600 })
  const plain = await token('', { name: 'plain', scopes: ['turn_keys:read', 'turn_keys:write'] })

  const again = { 'idempotency-key': 'again' }
  const created = await make('POST', keysPath('acme'), all.value, { name: 'revealed' }, again)
  await make('POST', keysPath('acme'), all.value, { name: 'revealed' }, again)
  const keyId = String(created.json.result.uid)
  await call('POST', keysPath('acme'), plain.value, { name: 'revealed' }, again)
  for (const bearer of [plain.value, env.ADMIN_TOKEN]) await call('POST', keysPath('acme'), bearer, { name: 'hidden' })

  for (const [name, route] of routes.filter(([name]) => name !== 'apiTokenRoll' && name !== 'tenantDelete')) {
    const path = pathOf(route, { tenant: 'acme', keyId, tokenId: 'no-such-one' })
    const body = ['GET', 'DELETE'].includes(route.method) ? undefined : { name: `by ${name}` }
    for (const bearer of [all.value, old.value, plain.value, env.ADMIN_TOKEN, `${all.value}x`, env.CALLS_API_TOKEN]) {
      const isItsMaker = name === 'turnKeyCreate' && [all.value, old.value].includes(bearer)
      await (isItsMaker ? make : call)(route.method, path, bearer, body)
    }
    // In the wrong places: the query, a cookie, a path, a body that is refused.
    for (const secret of [all.value, env.ADMIN_TOKEN]) {
      await call(route.method, `${path}?access_token=${secret}&cursor=${secret}`, plain.value, body, { cookie: secret })
      await call(route.method, pathOf(route, everywhere(secret)), plain.value, body)
      if (body) await call(route.method, path, env.ADMIN_TOKEN, { [secret]: secret, name: [secret] })
      if (body) await call(route.method, path, env.ADMIN_TOKEN, `{"name":"${secret}`)
    }
  }
  await call('GET', keysPath('acme'), undefined, undefined, { authorization: `Basic ${btoa(env.ADMIN_TOKEN)}` })

  for (const fault of FAULTS) {
    const { json } = await call('POST', keysPath('acme'), plain.value, { name: 'spare' })
    const uid = String(json.result?.uid ?? keyId)
    passTime(61 * MINUTE_MS) // every copy is due for a check upstream
    await emulator.fault({ operation: '*', fault, times: 'always' })
    await call('GET', keysPath('acme', uid), all.value)
    await call('PUT', keysPath('acme', uid), all.value, { name: `renamed ${fault.kind}` })
    await call('DELETE', keysPath('acme', uid), all.value)
    await make('POST', keysPath('acme'), all.value, { name: fault.kind })
    passTime(MINUTE_MS)
    await runJobs('acme')
    await emulator.clearFaults()
    passTime(5 * MINUTE_MS)
    await runJobs('acme')
  }
  // A database that fails with a secret in what it says.
  const breakIt = `CREATE TRIGGER broken BEFORE INSERT ON audit_events BEGIN SELECT RAISE(ABORT, '${env.ADMIN_TOKEN}'); END`
  await tenantSql('acme', breakIt)
  await call('PUT', keysPath('acme', keyId), all.value, { name: 'not stored' })
  await make('POST', keysPath('acme'), all.value, { name: 'not stored' })
  await tenantSql('acme', 'DROP TRIGGER broken')
  await brokenParts(call, all.value)
  made.push(...(await emulator.secrets()).keys.map(({ key }) => ({ name: 'a key secret', value: key })))
  return { secrets: [...STANDING, ...made], answers }
}

/** Parts that fail with a secret in what they say. */
async function brokenParts(keep: Broker['call'], bearer: string): Promise<void> {
  const fail = () => Promise.reject(new Error(`failed with ${env.ADMIN_TOKEN} ${env.CALLS_API_TOKEN} ${bearer}`))
  const stub = { isTenant: fail, listTurnKeys: fail, createTurnKey: fail, listTenants: fail }
  const object = { idFromName: () => 'id', get: () => stub }
  for (const overrides of [
    { CACHE: { get: fail } },
    { RATE_IP: { limit: fail }, RATE_TENANT: { limit: fail } },
    { TENANTS: object },
    { TENANTS: object, ACCOUNT: object },
  ]) {
    const broken = recorded(newBroker(overrides))
    await broken.call('GET', keysPath('acme'), bearer)
    await broken.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {})
    await broken.call('GET', '/v1/admin/tenants', env.ADMIN_TOKEN)
    for (const { text } of broken.answers) expect(leaks(text, STANDING)).toEqual([])
  }
  await keep('GET', keysPath('acme'), bearer)
}

/** A thousand requests and what they leave: more than a test may usually take on a busy machine. */
const WHOLE_LIFE_MS = 60_000

describe('G2: secrets', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it(
    'G2: Secrets are in no log, no answer but the one they were made for, no cache, no storage and nothing sent upstream',
    async () => {
      const logged = watchLogs()
      const { secrets, answers } = await live()
      const counts = Object.groupBy(secrets, ({ name }) => name)
      expect(counts['a key secret']?.length).toBeGreaterThan(10)
      expect(counts['an API token']?.length).toBe(3)
      expect(
        answers.filter(({ mayShow }) => mayShow.length > 0).length,
        'answers that show what they made',
      ).toBeGreaterThan(4)

      expect(leaksIn(answers, secrets)).toEqual([])
      const log = logged()
      expect(leaks(log, secrets)).toEqual([])
      for (const event of ['request', 'unforeseen', 'object_unreachable', 'storage_failed', 'job_failed']) {
        expect(log.includes(`\\"event\\":\\"${event}\\"`), `${event} was logged, and searched`).toBe(true)
      }
      expect(leaks(await everythingStored(), secrets)).toEqual([])
      expect(leaks(JSON.stringify(await emulator.log()), secrets)).toEqual([])
    },
    WHOLE_LIFE_MS,
  )

  it('G2: Secrets would be found, in each form and in each place that is searched', async () => {
    const logged = watchLogs()
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')
    const keyId = await newTurnKey(broker, acme)
    const secrets = [...STANDING, { name: 'an API token', value: acme.token }]
    for (const { name, value } of secrets) {
      for (const [how, form] of Object.entries(formsOf(value))) {
        expect(leaks(`before ${form} after`, secrets), `${name}, ${how}`).toContain(`${name}, ${how}`)
      }
      for (const around of ['', '1', '12']) {
        const wrapped = btoa(`${around}${value}${around}`)
        expect(leaks(wrapped, [{ name, value }]), `${name} inside base64`).not.toEqual([])
      }
    }
    const [secret = { name: '', value: '' }] = (await emulator.secrets()).keys
      .filter(({ uid }) => uid === keyId)
      .map(({ key }) => ({ name: 'a key secret', value: key }))
    expect(leaks(await everythingStored(), [secret])).toEqual([])

    console.error(new Error(`with ${btoa(secret.value)}`))
    expect(leaks(logged(), [secret])).not.toEqual([])

    await env.CACHE.put('planted', JSON.stringify({ deep: [secret.value.toUpperCase()] }))
    expect(leaks(await everythingStored(), [secret])).not.toEqual([])
    await env.CACHE.delete('planted')
    await env.CACHE.put('planted', '', { metadata: { note: encodeURIComponent(secret.value) } })
    expect(leaks(await everythingStored(), [secret])).not.toEqual([])
    await env.CACHE.delete('planted')

    for (const planted of [secret.value, new TextEncoder().encode(secret.value)]) {
      await runInDurableObject(tenantStub('acme'), (_object: DurableObject, { storage: { sql } }) => {
        sql.exec('CREATE TABLE planted AS SELECT ? AS it', planted)
      })
      expect(leaks(await everythingStored(), [secret])).not.toEqual([])
      await runInDurableObject(tenantStub('acme'), (_object: DurableObject, { storage: { sql } }) => {
        sql.exec('DROP TABLE planted')
      })
    }
    expect(leaks(await everythingStored(), [secret])).toEqual([])
  })
})
