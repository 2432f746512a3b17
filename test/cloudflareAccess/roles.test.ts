/** The role table: which role of Cloudflare Access each admin route needs, and that no other role does. */
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { Role } from '../../src/contract/roles.ts'
import type { ROUTES, Route, RouteName } from '../../src/contract/routes.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { countedObjects } from '../support/broker/bindings.ts'
import { type Broker, expectStatus, newToken } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { expectUnchanged, rowOf, stateOf } from '../support/contract/accessRows.ts'
import { furnish, pathOf, routes, type Things } from '../support/contract/callers.ts'
import {
  assertionFor,
  assertionOf,
  newAccessBroker,
  newTeam,
  personClaims,
  serviceClaims,
  through,
} from '../support/secrets/access.ts'

type AdminRouteName = { [Name in RouteName]: (typeof ROUTES)[Name]['access'] extends 'admin' ? Name : never }[RouteName]

/** A new admin route needs its row here to compile. A role that differs from its row in contract/routes.ts fails the test. */
const ROLE_TABLE = {
  tenantList: 'viewer',
  tenantCreate: 'operator',
  tenantGet: 'viewer',
  tenantPatch: 'operator',
  tenantRestore: 'owner',
  tenantDelete: 'owner',
  issuerCheck: 'operator',
  apiTokenList: 'viewer',
  // With `turn_keys:reveal`, a create and a roll are an owner's.
  apiTokenCreate: 'operator',
  apiTokenDelete: 'operator',
  apiTokenRoll: 'operator',
  turnKeyImport: 'owner',
  accountGet: 'viewer',
  accountSweep: 'operator',
  accountAuditList: 'viewer',
  resealOrder: 'owner',
  resealProgress: 'viewer',
  tokenCheckReplace: 'owner',
  tokenCheckGet: 'viewer',
} satisfies Record<string, Role>

const table = new Map<string, Role>(Object.entries(ROLE_TABLE))
const admins = routes.filter(([, { access }]) => access === 'admin')
/** What an operator may give. */
const UNREVEALING = SCOPES.filter((scope) => scope !== 'turn_keys:reveal')
const RANK: Role[] = ['viewer', 'operator', 'owner']
const suffices = (role: Role, needed: Role) => RANK.indexOf(role) >= RANK.indexOf(needed)

async function ask(broker: Broker, [name, route]: [RouteName, Route], role: Role, things: Partial<Things>) {
  const { body, query = '' } = rowOf(name)
  const sent = typeof body === 'function' ? await body() : body
  const path = pathOf(route, things) + query
  return through(broker, await assertionFor(role), { method: route.method, path, body: sent })
}

const expectOutcome = (answer: Answer, outcome: string) => expect(outcomeOf(answer), shown(answer)).toBe(outcome)

/** Some of the requests create a tenant first. */
const A_TABLE_MS = 60_000

describe('the role table', () => {
  it('G13: Every admin route stands in the role table with the role that it needs, and no other route has a role', () => {
    const complete: Record<AdminRouteName, Role> = ROLE_TABLE
    expect(Object.keys(complete).sort()).toEqual(admins.map(([name]) => name).sort())
    for (const [name, { access, path, role, method }] of routes) {
      expect(role, name).toBe(table.get(name))
      expect(access === 'admin', name).toBe(path.startsWith('/v1/admin/'))
      if (role === 'viewer') expect(method, `${name}: a viewer changes nothing`).toBe('GET')
    }
  })

  it('G13: A role below the one in the role table is refused at the edge, and nothing is changed', async () => {
    await newTeam()
    const inside = await newAccessBroker()
    const things = await furnish(inside, 'acme')
    const before = await stateOf(inside)
    const { reached, ...objects } = countedObjects()
    const edge = await newAccessBroker(objects)
    const wrong: string[] = []
    for (const entry of admins) {
      for (const role of RANK) {
        if (suffices(role, table.get(entry[0]) ?? 'owner')) continue
        const answer = await ask(edge, entry, role, things)
        if (outcomeOf(answer) !== '403 role_required') wrong.push(`${entry[0]} by ${role}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
    expect(reached.count, 'calls of objects').toBe(0)
    await expectUnchanged(inside, before)
  })

  it(
    'G13: A role in the role table, or one above it, opens the route as the admin token does',
    async () => {
      await newTeam()
      const broker = await newAccessBroker()
      const wrong: string[] = []
      for (const entry of admins) {
        const [name, { method }] = entry
        const needed = table.get(name) ?? 'owner'
        const roles = method === 'GET' ? RANK.filter((role) => suffices(role, needed)) : [needed]
        const things = await furnish(broker, `for-${admins.indexOf(entry)}`, UNREVEALING)
        for (const role of roles) {
          const answer = await ask(broker, entry, role, things)
          if (outcomeOf(answer) !== String(rowOf(name).right)) wrong.push(`${name} by ${role}: ${shown(answer)}`)
        }
      }
      expect(wrong).toEqual([])
    },
    A_TABLE_MS,
  )

  it('G13: An API token that reveals key secrets is made and rolled by an owner only', async () => {
    await newTeam()
    const broker = await newAccessBroker()
    const acme = await furnish(broker, 'acme', UNREVEALING)
    const tokens = '/v1/admin/tenants/acme/api-tokens'
    const create = async (role: Role, scopes: readonly string[]) =>
      through(broker, await assertionFor(role), { method: 'POST', path: tokens, body: { name: 'new', scopes } })
    const roll = async (role: Role, id: string) =>
      through(broker, await assertionFor(role), { method: 'POST', path: `${tokens}/${id}/roll`, body: {} })

    expectOutcome(await create('operator', SCOPES), '403 role_required')
    expectOutcome(await create('operator', ['turn_keys:reveal']), '403 role_required')
    expectStatus(await create('operator', UNREVEALING), 201)
    expectStatus(await roll('operator', acme.tokenId), 200)

    const revealing = await newToken(broker, 'acme', ['tenant:read', 'turn_keys:reveal'])
    expectOutcome(await roll('operator', revealing.tokenId), '403 role_required')
    expectStatus(await broker.call('GET', '/v1/tenants/acme', revealing.token), 200)
    const list = await broker.admin('GET', '/tenants/acme/api-tokens')
    expect(list.json.items.find(({ id }: { id: string }) => id === revealing.tokenId).rolledAt).toBeNull()
    expectStatus(await roll('owner', revealing.tokenId), 200)
    expectStatus(await create('owner', ['turn_keys:reveal']), 201)
  })

  it('G13: The audit trails and the log name who came through Cloudflare Access', async () => {
    await newTeam()
    const broker = await newAccessBroker()
    const owner = await assertionFor('owner')
    const service = await assertionOf(serviceClaims())
    const body = { id: 'acme', name: 'Acme', region: 'weur' }
    expectStatus(await through(broker, owner, { method: 'POST', path: '/v1/admin/tenants', body }), 201)
    const path = '/v1/admin/tenants/acme'
    const patched = await through(broker, service, { method: 'PATCH', path, body: { status: 'suspended' } })
    expectStatus(patched, 200)
    const account = await broker.admin('GET', '/audit-events?actor=admin:owner@example.com')
    expect(account.json.items, shown(account)).toMatchObject([{ action: 'tenant.create', target: 'acme' }])
    const trail = await broker.call('GET', '/v1/tenants/acme/audit-events?action=tenant.update', env.ADMIN_TOKEN)
    const actor = 'admin:service:e367826f93b8d71185e03fe518aff3b4.access'
    expect(trail.json.items, shown(trail)).toMatchObject([{ action: 'tenant.update', actor }])
    // As ACCESS_ROLES would have to write it.
    const logged = vi.spyOn(console, 'log')
    expectOutcome(
      await through(broker, await assertionOf(personClaims({ email: 'Ann@Example.com' }))),
      '403 role_required',
    )
    expect(JSON.parse(String(logged.mock.lastCall))).toMatchObject({
      code: 'role_required',
      actor: 'admin:Ann@Example.com',
    })
    vi.restoreAllMocks()
  })
})
