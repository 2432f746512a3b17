/** What a page of another site may cause with the session of an operator who is logged in at Cloudflare Access: nothing. */
import { describe, expect, it, vi } from 'vitest'
import { newBroker, ORIGIN } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { expectUnchanged, refusal, rowOf, stateOf } from '../support/contract/accessRows.ts'
import { furnishAll, pathOf, routes } from '../support/contract/callers.ts'
import {
  ACCESS,
  assertionFor,
  assertionOf,
  newAccessBroker,
  newTeam,
  personClaims,
  serviceClaims,
  through,
} from '../support/secrets/access.ts'

const SWEEP = { method: 'POST', path: '/v1/admin/account/sweep' }
const COOKIE = { cookie: 'CF_Authorization=x' }
const EVIL = 'https://evil.example'

describe('a page of another site', () => {
  it('G13: A change through Cloudflare Access needs Sec-Fetch-Site: same-origin, or the exact Origin', async () => {
    await newTeam()
    const broker = await newAccessBroker()
    const person = await assertionFor('owner')
    const service = await assertionOf(serviceClaims())
    const accepted: Record<string, string>[] = [
      { ...COOKIE, 'sec-fetch-site': 'same-origin' },
      { ...COOKIE, origin: ORIGIN },
      { ...COOKIE, origin: ORIGIN, 'sec-fetch-site': 'same-origin' },
      // A form of a page with `Referrer-Policy: no-referrer`.
      { ...COOKIE, origin: 'null', 'sec-fetch-site': 'same-origin' },
      {},
    ]
    const refused: Record<string, string>[] = [
      COOKIE,
      ...['cross-site', 'same-site', 'none', '', 'Same-Origin', 'same-origin, same-origin'].map((site) => ({
        ...COOKIE,
        'sec-fetch-site': site,
      })),
      ...[EVIL, 'null', '', `${ORIGIN}/`, `${ORIGIN}:443`, `${ORIGIN}.evil.example`, 'http://broker.test'].map(
        (origin) => ({ ...COOKIE, origin }),
      ),
      ...['HTTPS://BROKER.TEST', 'https://x.broker.test', `${ORIGIN}, ${ORIGIN}`].map((origin) => ({ origin })),
      // Also without a cookie: it is a browser that says so.
      { origin: EVIL },
      { 'sec-fetch-site': 'cross-site' },
      { ...COOKIE, referer: `${ORIGIN}/console`, host: 'evil.example' },
    ]
    const wrong: string[] = []
    const table = [
      ...accepted.map((headers) => ({ headers, assertion: person, outcome: '202' })),
      ...refused.map((headers) => ({ headers, assertion: person, outcome: '403 origin_not_allowed' })),
      { headers: {}, assertion: service, outcome: '202' },
      { headers: COOKIE, assertion: service, outcome: '202' },
      { headers: { origin: EVIL }, assertion: service, outcome: '403 origin_not_allowed' },
    ]
    for (const { headers, assertion, outcome } of table) {
      const answer = await through(broker, assertion, { ...SWEEP, headers })
      if (outcomeOf(answer) !== outcome) wrong.push(`${JSON.stringify(headers)}: ${outcome} expected, ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
    const read = await through(broker, person, { headers: { ...COOKIE, 'sec-fetch-site': 'none' } })
    expect(read.status, 'a page that is opened').toBe(200)
  })

  it('G13: No admin route makes a change that a page of another site causes', async () => {
    await newTeam()
    const broker = await newAccessBroker()
    const things = await furnishAll(broker, 'acme')
    const before = await stateOf(broker)
    const assertion = await assertionFor('owner')
    const headers = { ...COOKIE, origin: EVIL, 'sec-fetch-site': 'cross-site' }
    const changes = routes.filter(([, { access, method }]) => access === 'admin' && method !== 'GET')
    expect(changes.length).toBeGreaterThan(8)
    for (const [name, route] of changes) {
      const { body, query = '' } = rowOf(name)
      const sent = typeof body === 'function' ? await body() : body
      const path = pathOf(route, things) + query
      const answer = await through(broker, assertion, { method: route.method, path, body: sent, headers })
      expect(outcomeOf(answer), `${name}: ${shown(answer)}`).toBe('403 origin_not_allowed')
    }
    await expectUnchanged(broker, before)
  })

  it('G13: An assertion opens no route of tenants, of Cloudflare or of pages, whatever the request looks like', async () => {
    const team = await newTeam()
    const broker = await newAccessBroker()
    const things = await furnishAll(broker, 'acme')
    const before = await stateOf(broker)
    const identities = { person: personClaims(), service: serviceClaims() }
    const others = routes.filter(([, { access }]) => access !== 'admin' && access !== 'public')
    for (const [name, route] of others) {
      const { body, query = '' } = rowOf(name)
      const path = pathOf(route, things) + query
      for (const [who, claims] of Object.entries(identities)) {
        const headers = { origin: ORIGIN, 'sec-fetch-site': 'same-origin' }
        const it = { method: route.method, path, body, headers: route.access === 'client-token' ? {} : headers }
        const answer = await through(broker, await assertionOf(claims), it)
        expect(outcomeOf(answer), `${name} to a ${who}: ${shown(answer)}`).toBe(refusal(route))
      }
    }
    await expectUnchanged(broker, before)
    expect(await team.asked(), 'the keys are not even asked for').toEqual([])
  })
})

describe('a closed admin door', () => {
  it('G13: The log says that nothing opens the admin door, and no answer does', async () => {
    const warned = vi.spyOn(console, 'warn')
    const said = () => warned.mock.calls.flat().filter((line) => String(line).includes('admin_door_closed')).length
    const closed = newBroker({ ADMIN_TOKEN: undefined })
    const ready = await closed.send('/readyz')
    expect([ready.status, ready.text]).toEqual([200, '{"ready":true}'])
    expect(said(), 'when it starts').toBe(1)
    const answer = await closed.call('GET', '/v1/admin/tenants', 'x'.repeat(40))
    expect(outcomeOf(answer), shown(answer)).toBe('401 invalid_token')
    expect(answer.text).not.toMatch(/ADMIN_TOKEN|ACCESS|configured/)
    expect(said(), 'when an operator knocks').toBe(2)
    for (const open of [newBroker(), newBroker({ ...ACCESS, ADMIN_TOKEN: undefined })]) {
      await open.send('/readyz')
      await open.call('GET', '/v1/admin/tenants', 'x'.repeat(40))
    }
    expect(said(), 'by token, or by Access alone').toBe(2)
    vi.restoreAllMocks()
  })
})
