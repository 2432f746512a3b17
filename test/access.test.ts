/** One access table over every route of the contract: who is answered what. A new route needs its row here to compile. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { createApp } from '../src/app.ts'
import type { Route, RouteName } from '../src/contract/routes.ts'
import { SCOPES } from '../src/contract/scopes.ts'
import { type Answer, type Broker, expectStatus, keysPath, newBroker, newTenant, newToken } from './support/broker.ts'
import { badIdentities, furnish, pathOf, routes, type Things } from './support/callers.ts'
import { outcomeOf, shown } from './support/contract.ts'
import { tenantObjects } from './support/storage.ts'
import { emulator } from './support/upstream.ts'

interface Row {
  /** What the right caller is answered. */
  readonly right: number
  readonly body?: unknown
  /** What a caller is answered who asks for another tenant's things. Absent: the path names no tenant's thing. */
  readonly foreign?: string
  /** What is answered when the object itself belongs to another tenant than the path says. */
  readonly foreignObject?: string
}

const noKey = '404 20008'
const aKey = { foreign: noKey, foreignObject: noKey }

const ROWS = {
  health: { right: 200 },
  ready: { right: 200 },
  clientScript: { right: 200 },
  clientScriptVersion: { right: 200 },
  turnKeyList: { right: 200, foreign: '403 10000' },
  turnKeyCreate: { right: 201, body: { name: 'new' }, foreign: '403 10000' },
  turnKeyGet: { right: 200, ...aKey },
  turnKeyUpdate: { right: 200, body: { name: 'other' }, ...aKey },
  turnKeyDelete: { right: 200, ...aKey },
  tenantSelf: { right: 200, foreign: '404 not_found' },
  tenantList: { right: 200 },
  tenantCreate: { right: 201, body: { id: 'intruder', name: 'Intruder', region: 'weur' } },
  tenantGet: { right: 200 },
  tenantPatch: { right: 200, body: { status: 'suspended' } },
  tenantDelete: { right: 202 },
  apiTokenList: { right: 200 },
  apiTokenCreate: { right: 201, body: { name: 'new', scopes: ['usage:read'] } },
  apiTokenDelete: { right: 204, foreignObject: '404 not_found' },
  apiTokenRoll: { right: 200, body: {}, foreignObject: '404 not_found' },
} satisfies Record<RouteName, Row>

const rowOf = (name: RouteName): Row => ROWS[name]

const guarded = routes.filter(([, route]) => route.access !== 'public')
const scoped = guarded.filter(([, route]) => route.access !== 'admin')

/** Asks for a route's things and notes whatever is not as it must be. */
function asker(broker: Broker) {
  const wrong: string[] = []
  const ask = async (
    [name, route]: [RouteName, Route],
    it: { who: string; authorization: string | undefined; things: Things; expected: string },
  ): Promise<Answer> => {
    const { body } = rowOf(name)
    const path = pathOf(route, it.things) + (name === 'tenantDelete' ? '?cascade=true' : '')
    const headers = it.authorization === undefined ? {} : { authorization: it.authorization }
    const answer = await broker.call(route.method, path, undefined, body, headers)
    const got = outcomeOf(answer)
    if (got !== it.expected) wrong.push(`${name}, ${it.who}: ${it.expected} expected, got ${shown(answer)}`)
    return answer
  }
  return { ask, wrong }
}

const refusal = (route: Route) => (route.dialect === 'native' ? '401 invalid_token' : '401 10000')
const noScope = (route: Route) => (route.dialect === 'native' ? '403 insufficient_scope' : '403 10000')

describe('access', () => {
  it('is decided for exactly the routes of the contract: no other one is mounted', () => {
    const mounted = createApp()
      .routes.filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
    expect(mounted.sort()).toEqual(routes.map(([, { method, path }]) => `${method} ${path}`).sort())
    expect(Object.keys(ROWS)).toEqual(routes.map(([name]) => name))
  })

  it('is open to everybody on the public routes only', async () => {
    const { ask, wrong } = asker(newBroker())
    const things = { tenant: 'acme', keyId: 'k', tokenId: 't' }
    for (const entry of routes.filter(([, route]) => route.access === 'public')) {
      for (const authorization of [undefined, 'Bearer junk']) {
        await ask(entry, { who: 'anybody', authorization, things, expected: '200' })
      }
    }
    expect(wrong).toEqual([])
  })

  it('is refused to whoever has no valid token, on every route, the first time and when it is remembered', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const identities = await badIdentities(broker, 'acme', acme)
    const things = { tenant: 'acme', keyId: acme.keyId, tokenId: acme.tokenId }
    // A valid token reads first: KV is warm, and must not open for the others.
    expectStatus(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), 200)
    const before = await stateOf(broker)
    const { ask, wrong } = asker(broker)

    for (const entry of guarded) {
      for (const [who, authorization] of Object.entries(identities)) {
        for (const time of ['first', 'again']) {
          await ask(entry, { who: `${who}, ${time}`, authorization, things, expected: refusal(entry[1]) })
        }
      }
    }
    expect(wrong).toEqual([])
    expect(await stateOf(broker), 'nothing was changed, created or asked upstream').toEqual(before)
  })

  it('is refused to a token without the scope, also to one with all the others', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const things = { tenant: 'acme', keyId: acme.keyId, tokenId: acme.tokenId }
    const { ask, wrong } = asker(broker)
    for (const entry of scoped) {
      const { access } = entry[1]
      if (typeof access === 'string') continue
      const others = await newToken(
        broker,
        'acme',
        SCOPES.filter((scope) => scope !== access.scope),
      )
      const one = await newToken(broker, 'acme', ['usage:read'])
      for (const { token } of [others, one, one]) {
        const authorization = `Bearer ${token}`
        await ask(entry, { who: `without ${access.scope}`, authorization, things, expected: noScope(entry[1]) })
        // What it may not do at home it may not find out abroad either.
        const abroad = { ...things, tenant: 'other' }
        await ask(entry, { who: 'and abroad', authorization, things: abroad, expected: noScope(entry[1]) })
      }
    }
    expect(wrong).toEqual([])
  })

  it("is refused to another tenant's token, and to a tenant's own token for another tenant's object", async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const other = await furnish(broker, 'other')
    const before = await stateOf(broker)
    const { ask, wrong } = asker(broker)
    const theirs = { tenant: 'other', keyId: other.keyId, tokenId: other.tokenId }
    const mixed = { ...theirs, tenant: 'acme' }
    for (const entry of guarded) {
      const { foreign, foreignObject } = rowOf(entry[0])
      const isAdmin = entry[1].access === 'admin'
      const authorization = `Bearer ${acme.token}`
      const refused = isAdmin ? refusal(entry[1]) : foreign
      if (refused) await ask(entry, { who: "another tenant's token", authorization, things: theirs, expected: refused })
      if (!foreignObject) continue
      const expected = isAdmin ? refusal(entry[1]) : foreignObject
      await ask(entry, { who: "another tenant's object", authorization, things: mixed, expected })
      const operator = `Bearer ${env.ADMIN_TOKEN}`
      await ask(entry, {
        who: 'an operator, mixed up',
        authorization: operator,
        things: mixed,
        expected: foreignObject,
      })
    }
    expect(wrong).toEqual([])
    expect(await stateOf(broker), 'nothing was changed, created or asked upstream').toEqual(before)
  })

  it('is granted to the token with just this scope, and to an operator everywhere', async () => {
    const broker = newBroker()
    const { ask, wrong } = asker(broker)
    for (const [index, entry] of guarded.entries()) {
      const [name, { access }] = entry
      const tenant = `tenant-${index}`
      const { keyId, tokenId } = await furnish(broker, tenant)
      const expected = String(rowOf(name).right)
      if (typeof access !== 'string') {
        const { token } = await newToken(broker, tenant, [access.scope])
        const authorization = `Bearer ${token}`
        await ask(entry, { who: 'the right token', authorization, things: { tenant, keyId, tokenId }, expected })
      }
      const fresh = `operated-${index}`
      const things = { ...(await furnish(broker, fresh)), tenant: fresh }
      await ask(entry, { who: 'an operator', authorization: `Bearer ${env.ADMIN_TOKEN}`, things, expected })
    }
    expect(wrong).toEqual([])
  })

  it("never creates an object for a tenant that isn't there", async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const before = await tenantObjects()
    const { ask, wrong } = asker(broker)
    const things = { tenant: 'never-was', keyId: 'k'.repeat(32), tokenId: 't'.repeat(12) }
    for (const entry of guarded.filter(([, { path }]) => /:(account_id|tenant)/.test(path))) {
      const expected = entry[1].dialect === 'native' ? '404 not_found' : '404 7003'
      await ask(entry, { who: 'an operator', authorization: `Bearer ${env.ADMIN_TOKEN}`, things, expected })
    }
    expect(wrong).toEqual([])
    expect(await tenantObjects()).toEqual(before)
  })
})

/** What a refused request must leave as it was. */
async function stateOf(broker: Broker) {
  const { items } = (await broker.admin('GET', '/tenants')).json
  const details = []
  for (const { id } of items) {
    details.push((await broker.admin('GET', `/tenants/${id}`)).json)
    details.push((await broker.admin('GET', `/tenants/${id}/api-tokens`)).json)
  }
  return { items, details, upstream: (await emulator.log()).length, objects: await tenantObjects() }
}
