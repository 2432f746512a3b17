import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { K1, K2, K3 } from '../support/storage/rings.ts'
import { runJobs } from '../support/storage/storage.ts'
import { accountSql, tenantSql } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, newIssuer } from '../support/tenants/issuing.ts'

const uses = () => accountSql('SELECT root_key, tenant FROM root_key_uses ORDER BY root_key, tenant')

/** Whether a broker with these root keys at the edge reports ready. */
async function isReady(ROOT_KEYS: string, broker = newBroker({ ROOT_KEYS })): Promise<boolean> {
  const answer = await broker.send('/readyz')
  expect(answer.json).toEqual({ ready: answer.status === 200 })
  return answer.status === 200
}

describe('a root key in use', () => {
  it('A root key is reported to the Account when it first seals a secret, and not again', async () => {
    passTime(2 * MINUTE_MS)
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write', 'client_tokens:create'] })
    passTime(SECOND_MS)
    await runJobs('acme')
    expect(await uses()).toEqual([])

    await newTurnKey(broker, acme)
    expect(await tenantSql('acme', 'SELECT root_key FROM sealed_with')).toEqual([{ root_key: 'k1' }])
    passTime(SECOND_MS)
    await runJobs('acme')
    expect(await uses()).toEqual([{ root_key: 'k1', tenant: 'acme' }])
    expect((await broker.admin('GET', '/reseal')).json).toMatchObject({
      rootKeys: [{ id: 'k1', current: true, configured: true, tenants: 1, clientTokensUntil: null }],
    })

    await newTurnKey(broker, acme, 'second')
    expect(await tenantSql('acme', "SELECT * FROM jobs WHERE kind = 'mirror'")).toEqual([])
  })

  it('The first mint after a change of root keys reports the new root key to the Account', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await newIssuer()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    const doors = doorsOf(next, acme)
    expectOutcome(await doors.ice(await doors.clientToken('ann')), '201')
    passTime(SECOND_MS)
    await next.runTenant('acme')
    expect(await uses()).toEqual(['k1', 'k2'].map((root_key) => ({ root_key, tenant: 'acme' })))
    expect(await next.account().rootKeysInUse()).toMatchObject({
      ok: true,
      value: [
        { id: 'k2', current: true, tenants: 1, clientTokensUntil: null },
        { id: 'k1', current: false, configured: true, tenants: 1, clientTokensUntil: expect.any(String) },
      ],
    })
  })

  it('A root key in use that is no longer configured makes /readyz report not ready, before anything fails', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await newIssuer()
    passTime(SECOND_MS)
    await runJobs('acme')
    expect([await isReady(K1), await isReady(`${K2},${K1}`), await isReady(K2), await isReady(K3)]).toEqual([
      true,
      true,
      false,
      false,
    ])
    // What /readyz prevents: the same deployment would not mint.
    expectOutcome(await doorsOf(deploy({ ROOT_KEYS: K2 }), acme).generate(), '500 31022')
  })

  it('A root key is out of use once everything is resealed and the client tokens that it signed have expired', async () => {
    passTime(2 * MINUTE_MS)
    await newIssuer()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    for (let runs = 0; runs < 4; runs++) {
      await next.runAccount()
      passTime(1)
    }
    expect(await uses()).toEqual([{ root_key: 'k2', tenant: 'acme' }])
    const { json } = await next.admin('GET', '/reseal')
    expect(json.rootKeys).toMatchObject([
      { id: 'k2', tenants: 1 },
      { id: 'k1', configured: true, tenants: 0 },
    ])
    expect(Date.parse(json.rootKeys[1].clientTokensUntil) - Date.now()).toBeGreaterThan(HOUR_MS)

    expect(await isReady(K2)).toBe(false)
    passTime(HOUR_MS + 5 * MINUTE_MS)
    expect(await isReady(K2)).toBe(true)
    expect(await isReady(K2, deploy({ ROOT_KEYS: K2 }))).toBe(true)
    expect((await deploy({ ROOT_KEYS: K2 }).admin('GET', '/reseal')).json.rootKeys).toMatchObject([{ id: 'k2' }])
  })

  it('A root key is in use again when it is put back in front', async () => {
    passTime(2 * MINUTE_MS)
    await newIssuer()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.send('/readyz'), 200)
    passTime(HOUR_MS)
    const back = deploy({ ROOT_KEYS: `${K1},${K2}` })
    expectStatus(await back.send('/readyz'), 200)
    expect(await accountSql('SELECT * FROM root_keys_front ORDER BY root_key')).toEqual([
      { root_key: 'k1', until: null },
      { root_key: 'k2', until: Date.now() },
    ])
    expect(await isReady(K2)).toBe(false)
  })

  it('A deleted tenant uses no root key, even when a late report of its key arrives', async () => {
    passTime(2 * MINUTE_MS)
    const { broker } = await newIssuer()
    passTime(SECOND_MS)
    await runJobs('acme')
    expect(await uses()).toHaveLength(1)
    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    for (let runs = 0; runs < 2; runs++) {
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expectStatus(await broker.admin('GET', '/tenants/acme'), 404)
    expect(await uses()).toEqual([])
    const late = { id: 'acme', name: 'a', status: 'active', version: 99, issuers: [], rootKeys: ['k1'] } as const
    await deploy({}).account().reportTenant(late)
    expect(await uses()).toEqual([])
    expect((await deploy({ ROOT_KEYS: `${K2},${K1}` }).admin('POST', '/reseal')).json).toMatchObject({
      state: 'done',
      tenants: 0,
    })
  })
})
