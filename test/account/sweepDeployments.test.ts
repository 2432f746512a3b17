/** G5: two deployments on one account: each sweeps its own keys, reports those of the other, and leaves them alone. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { Account } from '../../src/account/account.ts'
import type { AccountView } from '../../src/contract/resources/account.ts'
import { Tenant } from '../../src/tenant/tenant.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { generate } from '../support/broker/doors.ts'
import { emulator, liveKeys } from '../support/broker/upstream.ts'
import { found, sweepNow } from '../support/tenants/sweeps.ts'

type Built = Tenant | Account
type Method = (...given: unknown[]) => Promise<unknown>

/** Objects of the real classes, with other variables and under names of their own. */
function elsewhere<T extends Built>(
  real: DurableObjectNamespace<T>,
  place: string,
  build: (state: DurableObjectState) => Built,
) {
  const built = new Map<string, Built>()
  const call = (id: DurableObjectId, method: string, given: unknown[] = []) =>
    runInDurableObject(real.get(id), (_, state) => {
      const object = built.get(String(id)) ?? build(state)
      built.set(String(id), object)
      // Called by its name, as RPC does.
      return (object as unknown as Record<string, Method>)[method]?.(...given)
    })
  const get = (id: DurableObjectId) =>
    new Proxy(real.get(id), {
      get: (_, method) => (method === 'then' ? undefined : (...given: unknown[]) => call(id, String(method), given)),
    })
  const idFromName = (name: string) => real.idFromName(`${place}/${name}`)
  const binding = { idFromName, get } as unknown as typeof real // all that is used of a namespace
  return { binding, alarm: (name: string) => call(idFromName(name), 'alarm') }
}

/** The broker installed a second time on the same account. */
function secondDeployment(name: string) {
  const bindings = { ...env, DEPLOYMENT: name } as Env // its objects follow
  const tenants = elsewhere(env.TENANTS, name, (state) => new Tenant(state, bindings))
  const account = elsewhere(env.ACCOUNT, name, (state) => new Account(state, bindings))
  Object.assign(bindings, { TENANTS: tenants.binding, ACCOUNT: account.binding })
  const broker = newBroker(bindings)
  const sweep = async (...ids: string[]): Promise<AccountView> => {
    expectStatus(await broker.admin('POST', '/account/sweep'), 202)
    await account.alarm('account')
    for (const id of ids) await tenants.alarm(id)
    return (await broker.admin('GET', '/account')).json
  }
  return { broker, sweep }
}

/** A key in use, and one that upstream kept although it said that there was none. */
async function usedAndLeft(broker: Broker, tenant: { id: string; token: string }) {
  const used = await newTurnKey(broker, tenant)
  const left = await newTurnKey(broker, tenant, 'left')
  await emulator.fault({ operation: 'delete', fault: { kind: 'status', status: 404 } })
  expectStatus(await broker.call('DELETE', keysPath(tenant.id, left), tenant.token), 200)
  return { used, left }
}

describe('G5: two deployments on one account', () => {
  it('G5: Two deployments on one account each delete their own orphans and leave the keys of the other alone', async () => {
    const scopes = ['turn_keys:read', 'turn_keys:write', 'credentials:issue'] as const
    const first = newBroker()
    const second = secondDeployment('second')
    // Tenants of the same id, so that nothing but the deployment tells them apart.
    const ours = await newTenant(first, 'acme', { scopes: [...scopes] })
    const theirs = await newTenant(second.broker, 'acme', { scopes: [...scopes] })
    const a = await usedAndLeft(first, ours)
    const b = await usedAndLeft(second.broker, theirs)
    expect((await liveKeys()).map(({ name }) => name.split('.')[1]).sort()).toEqual([
      'second',
      'second',
      'test',
      'test',
    ])

    passTime(11 * MINUTE_MS)
    const firstFound = found(await sweepNow(first, 'acme'))
    expect(firstFound).toEqual({ orphan: [a.left], 'other-deployment': [b.used, b.left].sort() })
    expect((await liveKeys()).map(({ uid }) => uid).sort()).toEqual([a.used, b.used, b.left].sort())

    passTime(MINUTE_MS)
    expect(found(await second.sweep('acme'))).toEqual({ orphan: [b.left], 'other-deployment': [a.used] })
    expect((await liveKeys()).map(({ uid }) => uid).sort()).toEqual([a.used, b.used].sort())

    passTime(HOUR_MS)
    expect(found(await sweepNow(first, 'acme'))).toEqual({ 'other-deployment': [b.used] })
    expect(found(await second.sweep('acme'))).toEqual({ 'other-deployment': [a.used] })
    await generate(first, { uid: a.used, token: ours.token })
    await generate(second.broker, { uid: b.used, token: theirs.token })
  })
})
