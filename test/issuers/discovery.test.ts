/** An issuer that gives no address of its key set: the address comes from its discovery document, once, when the policy is set. */
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newTenant } from '../support/broker/broker.ts'
import { HOUR_MS, passTime } from '../support/broker/clock.ts'
import { shown } from '../support/broker/contract.ts'
import { askIceServers, served } from '../support/broker/doors.ts'
import { jwtOf, newKey, playedIssuer, playedProvider } from '../support/secrets/idp.ts'
import { accountSql } from '../support/storage/tenantRows.ts'

const key = await newKey('good')
const entry = (issuer: string, more: object = {}) => ({ issuer, audience: 'calls', algorithms: ['ES256'], ...more })

/** An issuer with its document and one key. */
async function discovered() {
  const it = playedIssuer()
  await it.leads()
  await it.keys.serves(key.jwk)
  return it
}

async function acme() {
  const broker = newBroker()
  await newTenant(broker, 'acme')
  const patch = (issuers: object[]) => broker.admin('PATCH', '/tenants/acme', { policy: { issuers } })
  return { broker, patch }
}

describe('an issuer without jwks and jwksUrl', () => {
  it('An issuer alone is enough: its discovery document gives the address, which is stored, shown and asked', async () => {
    const it = await discovered()
    const broker = newBroker()
    await served(broker, 'acme', { policy: { issuers: [entry(it.issuer)] } })
    const { policy, warnings } = (await broker.admin('GET', '/tenants/acme')).json
    expect(policy.issuers).toMatchObject([{ issuer: it.issuer, jwksUrl: it.keys.jwksUrl, discovered: true }])
    expect(warnings).toBeUndefined()
    const ask = async () => expectStatus(await askIceServers(broker, 'acme', await jwtOf(key, { iss: it.issuer })), 201)
    await ask()
    passTime(HOUR_MS)
    await ask()
    const asked = await it.discovery.asked()
    expect(
      asked.map(({ method }) => method),
      'not on the way of a mint',
    ).toEqual(['GET'])
    expect(Object.keys(asked[0]?.headers ?? {}).filter((name) => /cookie|authorization|origin/.test(name))).toEqual([])
  })

  it('An issuer alone is enough for a library that plays a real provider', async () => {
    const { patch } = await acme()
    const answer = await patch([entry('https://idp.test.example', { algorithms: ['RS256'] })])
    expectStatus(answer, 200)
    expect(answer.json.policy.issuers[0].jwksUrl).toMatch(/^https:\/\/idp\.test\.example\//)
    expect(answer.json.warnings).toBeUndefined()
  })

  it('An issuer with a slash at its end is asked without it, and must be named with it', async () => {
    const it = await discovered()
    const { patch } = await acme()
    await it.leads({ issuer: `${it.issuer}/` })
    const answer = await patch([entry(`${it.issuer}/`)])
    expectStatus(answer, 200)
    expect(answer.json.policy.issuers).toMatchObject([{ issuer: `${it.issuer}/`, jwksUrl: it.keys.jwksUrl }])
    const other = await patch([entry(it.issuer)])
    expect(other.json?.detail, shown(other)).toBe(
      'policy.issuers.0: the discovery document names another issuer: the two differ by the slash at the end',
    )
  })

  it('An issuer that was found may be sent back as it was shown, and is not asked again', async () => {
    const it = await discovered()
    const { patch } = await acme()
    const { issuers } = (await patch([entry(it.issuer)])).json.policy
    await it.leads({ jwks_uri: playedProvider().jwksUrl })
    expect((await patch(issuers)).json.policy.issuers).toEqual(issuers)
    expect(await it.discovery.asked()).toHaveLength(1)
    const again = await patch([entry(it.issuer)])
    expect(again.json.policy.issuers[0].jwksUrl, 'without the address it is read again').not.toBe(it.keys.jwksUrl)
  })
})

const REDIRECT = { status: 302, headers: { location: 'https://told-idp.test.example/elsewhere' } }
const FAILURES: Record<string, { body?: object; answers?: object; issuer?: string; says: string }> = {
  'is not there': { answers: { status: 404 }, says: 'could not be fetched: status 404' },
  'is behind a redirect': { answers: REDIRECT, says: 'could not be fetched: status 302, and no redirect is followed' },
  'is HTML': { answers: { body: '<html>' }, says: 'could not be read as JSON: not-json' },
  'is larger than 64 KiB': { answers: { instead: 'flood' }, says: 'could not be read as JSON: too-large' },
  'is cut off': { answers: { instead: 'reset' }, says: 'could not be fetched: no connection' },
  'is of another issuer': { body: { issuer: 'https://login.example' }, says: 'names another issuer' },
  'names no issuer': { body: { issuer: undefined }, says: 'has no issuer' },
  'names no key set': {
    body: { jwks_uri: undefined },
    says: 'has no jwks_uri that is an https URL of a DNS name, port 443',
  },
  'has an issuer that is no address': {
    issuer: 'accounts.google.com',
    says: 'cannot be fetched: the issuer must be an https URL of a DNS name, port 443',
  },
  'has an issuer with a query': {
    issuer: 'https://login.example/?tenant=1',
    says: 'cannot be fetched: the issuer must be an https URL of a DNS name, port 443',
  },
}

describe('a discovery document', () => {
  it.each(Object.entries(FAILURES))(
    'A discovery document that %s is a 422 that says so, and nothing is stored',
    async (_, row) => {
      const it = await discovered()
      if (row.body) await it.leads(row.body)
      if (row.answers) await it.discovery.answers(row.answers)
      const { broker, patch } = await acme()
      const issuers = [
        entry('https://login.example', { audience: 'b', jwks: { keys: [key.jwk] } }),
        entry(row.issuer ?? it.issuer),
      ]
      const before = (await broker.admin('GET', '/tenants/acme')).text
      const answer = await patch(issuers)
      expect(answer.status, shown(answer)).toBe(422)
      expect(answer.json).toMatchObject({
        code: 'discovery_failed',
        detail: `policy.issuers.1: the discovery document ${row.says}`,
      })
      const created = await broker.admin('POST', '/tenants', {
        id: 'globex',
        name: 'G',
        region: 'weur',
        policy: { issuers },
      })
      expect(created.json?.code, shown(created)).toBe('discovery_failed')
      expect((await broker.admin('GET', '/tenants/acme')).text).toBe(before)
      expectStatus(await broker.admin('GET', '/tenants/globex'), 404)
      expect(await accountSql('SELECT * FROM issuers'), 'nothing was claimed').toEqual([])
    },
  )

  it('G10: A discovery document cannot lead to an address that a policy may not name', async () => {
    const it = await discovered()
    const { patch } = await acme()
    const bad = [
      'http://told-idp.test.example/keys',
      'https://127.0.0.1/keys',
      'https://[::1]/keys',
      'https://localhost/keys',
      'https://metadata.google.internal/keys',
      'https://told-idp.test.example:8443/keys',
      'https://user@told-idp.test.example/keys',
      'https://LOGIN.example/keys',
      'file:///etc/passwd',
      `https://login.example/${'a'.repeat(512)}`,
      7,
      ['https://login.example/keys'],
      null,
    ]
    const wrong: string[] = []
    for (const jwksUri of bad) {
      await it.leads({ jwks_uri: jwksUri })
      const answer = await patch([entry(it.issuer)])
      if (answer.json?.code !== 'discovery_failed') wrong.push(`${jwksUri}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
    expect(await it.keys.asked()).toEqual([])
  })

  it('A discovery document that does not come is given up after 3 s', async () => {
    const it = await discovered()
    await it.discovery.answers({ instead: 'hang' })
    const { patch } = await acme()
    const answer = await patch([entry(it.issuer)])
    expect(answer.json?.detail, shown(answer)).toBe(
      'policy.issuers.0: the discovery document could not be fetched: no answer in time',
    )
  })

  it('A creation that is repeated with its Idempotency-Key is answered as before, though the document is gone meanwhile', async () => {
    const it = await discovered()
    const broker = newBroker()
    const body = { id: 'acme', name: 'A', region: 'weur', policy: { issuers: [entry(it.issuer)] } }
    const create = () => broker.admin('POST', '/tenants', body, { 'idempotency-key': 'one' })
    const first = await create()
    expectStatus(first, 201)
    await it.discovery.answers({ status: 404 })
    expect((await create()).text).toBe(first.text)
  })
})
