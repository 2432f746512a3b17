/** One access table over every route of the contract: who is answered what. The rows are support/accessRows.ts. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import type { Route } from '../../src/contract/routes.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import { expectStatus, keysPath, newBroker, newTenant, newToken } from '../support/broker/broker.ts'
import { asker, expectUnchanged, ROWS_IN_ORDER, refusal, rowOf, stateOf } from '../support/contract/accessRows.ts'
import { badIdentities, furnishAll, NOBODYS, routes } from '../support/contract/callers.ts'
import { tenantObjects } from '../support/storage/storage.ts'

const guarded = routes.filter(([, route]) => route.access !== 'public')
const operator = `Bearer ${env.ADMIN_TOKEN}`

const noScope = (route: Route) => (route.dialect === 'native' ? '403 insufficient_scope' : '403 10000')
/** What is done once, or ends what the next row needs. */
const isOnce = ({ method, path }: Route) => !['GET', 'POST'].includes(method) || path.endsWith('/rotate')

/** A thousand requests: more than a test may usually take on a busy machine. */
const A_TABLE_MS = 60_000

describe('access', () => {
  it('Access is decided for exactly the routes of the contract: no other one is mounted', () => {
    const mounted = createApp()
      .routes.filter(({ method }) => method !== 'ALL')
      .map(({ method, path }) => `${method} ${path}`)
    expect(mounted.sort()).toEqual(routes.map(([, { method, path }]) => `${method} ${path}`).sort())
    expect(ROWS_IN_ORDER).toEqual(routes.map(([name]) => name))
  })

  it('Access is open to everybody on the public routes only', async () => {
    const broker = newBroker()
    const things = await furnishAll(broker, 'acme')
    const { ask, wrong } = asker(broker)
    const before = await stateOf(broker)
    const open = routes.filter(([, route]) => route.access === 'public')
    expect(open.map(([name]) => name)).toEqual(['health', 'ready', 'iceServersPreflight'])
    for (const entry of open) {
      const expected = String(rowOf(entry[0]).right)
      for (const authorization of [undefined, 'Bearer junk']) {
        await ask(entry, { who: 'anybody', authorization, things, expected })
      }
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it(
    'Access is refused to every caller without a valid token, on every route, the first time and when it is remembered',
    async () => {
      const broker = newBroker()
      const acme = await furnishAll(broker, 'acme')
      const identities = await badIdentities(broker, 'acme', acme)
      // A valid token reads first: KV is warm, and must not open for the others.
      expectStatus(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), 200)
      const before = await stateOf(broker)
      const { ask, wrong } = asker(broker)

      for (const entry of guarded) {
        for (const [who, authorization] of Object.entries(identities)) {
          for (const time of ['first', 'again']) {
            await ask(entry, { who: `${who}, ${time}`, authorization, things: acme, expected: refusal(entry[1]) })
          }
        }
      }
      expect(wrong).toEqual([])
      await expectUnchanged(broker, before)
    },
    A_TABLE_MS,
  )

  it('Access is refused to a token without the scope, also to one with all the others', async () => {
    const broker = newBroker()
    const things = await furnishAll(broker, 'acme')
    const other = await furnishAll(broker, 'other')
    const { ask, wrong } = asker(broker)
    const one = await newToken(broker, 'acme', ['usage:read'])
    for (const entry of guarded) {
      const { access } = entry[1]
      if (typeof access === 'string') continue
      const others = await newToken(
        broker,
        'acme',
        SCOPES.filter((scope) => scope !== access.scope),
      )
      for (const { token } of [others, one, one]) {
        const authorization = `Bearer ${token}`
        await ask(entry, { who: `without ${access.scope}`, authorization, things, expected: noScope(entry[1]) })
        // What it may not do at home it may not find out abroad either.
        for (const abroad of [other, { ...things, tenant: 'never-was' }]) {
          await ask(entry, { who: 'and abroad', authorization, things: abroad, expected: noScope(entry[1]) })
        }
      }
    }
    expect(wrong).toEqual([])
  })

  it("Access is refused to another tenant's token, and to a tenant's own token for another tenant's object", async () => {
    const broker = newBroker()
    const acme = await furnishAll(broker, 'acme')
    const theirs = await furnishAll(broker, 'other')
    const before = await stateOf(broker)
    const { ask, wrong } = asker(broker)
    for (const entry of guarded) {
      const [name, { access, path }] = entry
      const { foreign, foreignObject } = rowOf(name)
      const authorization = `Bearer ${access === 'client-token' ? acme.clientToken : acme.token}`
      const refused = access === 'admin' ? refusal(entry[1]) : foreign
      if (refused) await ask(entry, { who: "another tenant's token", authorization, things: theirs, expected: refused })
      if (!foreignObject) continue
      const mixed = { ...theirs, tenant: 'acme', ...(path.includes(':username') ? { keyId: acme.keyId } : {}) }
      const expected = access === 'admin' ? refusal(entry[1]) : foreignObject
      await ask(entry, { who: "another tenant's object", authorization, things: mixed, expected })
      const who = 'an operator, mixed up'
      await ask(entry, { who, authorization: operator, things: mixed, expected: foreignObject })
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it('Access is granted to the token with just this scope, and to an operator at every door but the browser one', async () => {
    const broker = newBroker()
    const { ask, wrong } = asker(broker)
    const shared = await furnishAll(broker, 'shared')
    const thingsFor = (route: Route, id: string) => (isOnce(route) ? furnishAll(broker, id) : shared)
    for (const [index, entry] of guarded.entries()) {
      const [name, route] = entry
      const expected = String(rowOf(name).right)
      if (route.access === 'client-token') {
        const authorization = `Bearer ${shared.clientToken}`
        await ask(entry, { who: 'the right client token', authorization, things: shared, expected })
        await ask(entry, { who: 'an operator', authorization: operator, things: shared, expected: '401 invalid_token' })
        continue
      }
      if (typeof route.access === 'object') {
        const things = await thingsFor(route, `tenant-${index}`)
        const { token } = await newToken(broker, things.tenant, [route.access.scope])
        await ask(entry, { who: 'the right token', authorization: `Bearer ${token}`, things, expected })
      }
      const things = await thingsFor(route, `operated-${index}`)
      await ask(entry, { who: 'an operator', authorization: operator, things, expected })
    }
    expect(wrong).toEqual([])
  })

  it("Access never creates an object for a tenant that isn't there, or a key without an owner", async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const before = await tenantObjects()
    const { ask, wrong } = asker(broker)
    const never = guarded.filter(([, { access, path }]) => access !== 'client-token' && path.includes('/:'))
    for (const entry of never) {
      const atKey = entry[1].path.startsWith('/v1/turn/') ? '404 20008' : '404 7003'
      const expected = entry[1].dialect === 'native' ? '404 not_found' : atKey
      await ask(entry, { who: 'an operator', authorization: operator, things: NOBODYS, expected })
    }
    expect(wrong).toEqual([])
    expect(await tenantObjects()).toEqual(before)
  })
})
