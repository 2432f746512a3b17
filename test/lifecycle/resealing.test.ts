/** Moving every secret to another root key: in batches, with progress; a secret that does not open is not lost. */
import { runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { seal } from '../../src/crypto/seal.ts'
import { expectStatus, newBroker, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { emulator } from '../support/broker/upstream.ts'
import { K1, K2, K3, ringOf, secretsOf } from '../support/storage/rings.ts'
import { accountSql, tenantSql, tenantStub } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, type Issuer, newIssuer, usernameIn } from '../support/tenants/issuing.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

type Deployment = ReturnType<typeof deploy>

/** A tenant with two TURN keys and the credentials of two subjects, all sealed with k1. */
async function sealedTenant(id = 'acme'): Promise<Issuer> {
  passTime(2 * MINUTE_MS)
  const tenant = await newIssuer({}, id)
  await newTurnKey(tenant.broker, tenant, 'second')
  for (const subject of ['ann', 'bob']) expectOutcome(await tenant.ice(await tenant.clientToken(subject)), '201')
  return tenant
}

/** Runs the Account until the order is done; returns the number of runs. */
async function carriedOn(broker: Deployment): Promise<number> {
  for (let runs = 0; runs < 50; runs++) {
    if ((await broker.admin('GET', '/reseal')).json.state !== 'running') return runs
    await broker.runAccount()
    passTime(1)
  }
  throw new Error('not done after 50 runs')
}

const rootKeysOf = async (tenant: string) => (await secretsOf(tenant)).map(({ rootKey }) => rootKey)

describe('resealing', () => {
  it('Resealing moves every secret of every tenant, and the secrets then work without the old root key', async () => {
    const [acme, calm] = [await sealedTenant('acme'), await sealedTenant('calm')]
    const before = usernameIn(await acme.ice(await acme.clientToken('ann')))
    expect((await newBroker().admin('GET', '/reseal')).json).toMatchObject({ state: 'none', to: null, tenants: 0 })

    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    const ordered = await next.admin('POST', '/reseal')
    expectStatus(ordered, 202)
    expect(ordered.json).toMatchObject({ state: 'running', to: 'k2', tenants: 2, done: 0, moved: 0, unreadable: 0 })
    await carriedOn(next)
    const { json } = await next.admin('GET', '/reseal')
    expect(json).toMatchObject({ state: 'done', to: 'k2', tenants: 2, done: 2, moved: 8, unreadable: 0, left: 0 })
    for (const { id } of [acme, calm]) {
      expect(await secretsOf(id)).toEqual(
        Array(4).fill(expect.objectContaining({ rootKey: 'k2', version: 2, opens: true })),
      )
    }

    const last = doorsOf(deploy({ ROOT_KEYS: K2 }), acme)
    const reused = await last.ice(await last.clientToken('ann'))
    expect(reused.json).toMatchObject({ source: 'reused' })
    expect(usernameIn(reused)).toBe(before)
    expectOutcome(await last.generate(), '201')
  })

  it('Resealing goes on in bounded batches however long the ledger is, and reports its progress', async () => {
    await sealedTenant()
    await fillLedger(900)
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    const reports: { moved: number; left: number }[] = []
    for (let runs = 0; runs < 8; runs++) {
      await next.runAccount()
      passTime(1)
      const { moved, left } = (await next.admin('GET', '/reseal')).json
      reports.push({ moved, left })
    }
    const steps = reports.map(({ moved }, at) => moved - (reports[at - 1]?.moved ?? 0))
    expect(Math.max(...steps)).toBeLessThanOrEqual(200)
    expect(reports.map(({ left }) => left)).toEqual([902, 702, 502, 302, 102, 0, 0, 0])
    expect((await next.admin('GET', '/reseal')).json).toMatchObject({ state: 'done', moved: 904, left: 0 })
    expect(new Set(await rootKeysOf('acme'))).toEqual(new Set(['k2']))
  })

  it('Resealing leaves a secret that does not open, counts it, and moves it when its root key is back', async () => {
    const acme = await sealedTenant()
    const [first, second] = await secretsOf('acme')
    // Sealed with a root key that is not configured now.
    const place = { purpose: 'turn-key-secret', tenant: 'acme', record: first?.record ?? '', version: 1 } as const
    const lost = await seal(ringOf(K3), place, 's'.repeat(64))
    await tenantSql('acme', `UPDATE turn_keys SET sealed = '${lost}' WHERE uid = '${first?.record}'`)
    await tenantSql(
      'acme',
      `UPDATE turn_keys SET sealed = '${second?.sealed.slice(0, -2)}' WHERE uid = '${second?.record}'`,
    )
    const rows = await tenantSql('acme', 'SELECT sealed, secret_version FROM turn_keys ORDER BY seq')

    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    await carriedOn(next)
    const { json } = await next.admin('GET', '/reseal')
    expect(json).toMatchObject({ state: 'done', done: 1, moved: 2, unreadable: 2 })
    expect(await tenantSql('acme', 'SELECT sealed, secret_version FROM turn_keys ORDER BY seq')).toEqual(rows)
    const use = (id: string) => json.rootKeys.find((key: { id: string }) => key.id === id)
    expect(use('k3')).toMatchObject({ configured: false, tenants: 1 })
    expect(use('k1')).toMatchObject({ configured: true, tenants: 1 })
    expectStatus(await next.send('/readyz'), 503)

    const again = deploy({ ROOT_KEYS: `${K2},${K1},${K3}` })
    expectStatus(await again.admin('POST', '/reseal'), 202)
    await carriedOn(again)
    expect((await again.admin('GET', '/reseal')).json).toMatchObject({ moved: 1, unreadable: 1 })
    const events = await acme.broker.call('GET', '/v1/tenants/acme/audit-events?action=root_key.reseal', acme.token)
    expect(events.json.items.map(({ outcome }: { outcome: string }) => outcome)).toEqual([
      'failed',
      'begun',
      'failed',
      'begun',
    ])
  })

  it('Resealing touches no row that changed while its secret was sealed again', async () => {
    await sealedTenant()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    // Each of these happens after the rows were read, and before they are written.
    const meanwhile = [
      "UPDATE turn_keys SET sealed = NULL, state = 'deleted' WHERE seq = 1",
      "UPDATE credentials SET sealed = NULL, state = 'revoking' WHERE seq = 1",
      "UPDATE turn_keys SET sealed = 'replaced', secret_version = 9 WHERE seq = 2",
      'DELETE FROM credentials WHERE seq = 2',
    ]
    const encrypt = crypto.subtle.encrypt.bind(crypto.subtle)
    vi.spyOn(crypto.subtle, 'encrypt').mockImplementation(async (...given) => {
      await runInDurableObject(tenantStub('acme'), (_, { storage }) => {
        for (const sql of meanwhile.splice(0)) storage.sql.exec(sql)
      })
      return encrypt(...given)
    })
    await carriedOn(next)
    expect((await next.admin('GET', '/reseal')).json).toMatchObject({ moved: 0, unreadable: 0 })
    expect(await tenantSql('acme', 'SELECT sealed, secret_version AS v FROM turn_keys ORDER BY seq')).toEqual([
      { sealed: null, v: 1 },
      { sealed: 'replaced', v: 9 },
    ])
    expect(await tenantSql('acme', 'SELECT sealed, sealed_version AS v FROM credentials')).toEqual([
      { sealed: null, v: 1 },
    ])
  })

  it('A newer reseal order overrides an older one, whose number the Tenant then refuses', async () => {
    await sealedTenant()
    const second = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await second.admin('POST', '/reseal'), 202)
    await second.runAccount()
    const [{ number: older } = { number: 0 }] = await accountSql('SELECT number FROM reseal_order')
    expect(await rootKeysOf('acme')).toEqual(['k2', 'k2', 'k1', 'k1'])

    passTime(1)
    const third = deploy({ ROOT_KEYS: `${K3},${K2},${K1}` })
    expect((await third.admin('POST', '/reseal')).json).toMatchObject({ state: 'running', to: 'k3', moved: 0, done: 0 })
    await carriedOn(third)
    expect((await third.admin('GET', '/reseal')).json).toMatchObject({ state: 'done', to: 'k3', moved: 4 })
    expect(await secretsOf('acme')).toMatchObject(
      [3, 3, 2, 2].map((version) => ({ rootKey: 'k3', version, opens: true })),
    )
    const late = await third.tenant('acme').reseal({ number: Number(older), to: 'k3', limit: 1 })
    expect(late).toMatchObject({ ok: false, failure: { code: 'conflict' } })
  })

  it('A reseal order repeated while resealing runs continues it, and one after the end starts again', async () => {
    await sealedTenant()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    await next.runAccount()
    expect((await next.admin('POST', '/reseal')).json).toMatchObject({ state: 'running', moved: 2 })
    await carriedOn(next)
    expect((await next.admin('GET', '/reseal')).json).toMatchObject({ state: 'done', moved: 4 })
    passTime(1)
    expect((await next.admin('POST', '/reseal')).json).toMatchObject({ state: 'running', moved: 0 })
    await carriedOn(next)
    expect((await next.admin('GET', '/reseal')).json).toMatchObject({ state: 'done', moved: 0 })
    expect(await secretsOf('acme')).toMatchObject(Array(4).fill({ version: 2, opens: true }))
  })

  it('Resealing is refused by objects of the previous deployment, and waits for objects out of reach', async () => {
    await sealedTenant()
    const edgeOnly = newBroker({ ROOT_KEYS: `${K2},${K1}` })
    expectOutcome(await edgeOnly.admin('POST', '/reseal'), '409 conflict')
    expect(await accountSql('SELECT * FROM reseal_order')).toEqual([])
    const refused = await tenantStub('acme').reseal({ number: 1, to: 'k2', limit: 1 })
    expect(refused).toMatchObject({ ok: false, failure: { code: 'conflict' } })
    expect(await tenantSql('acme', 'SELECT * FROM reseal')).toEqual([])

    let silent = true
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` }, async (what) => {
      if (silent && what === 'reseal asked') throw new Error('the object is out of reach')
    })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    for (let runs = 0; runs < 3; runs++) {
      await next.runAccount()
      passTime(15_000)
    }
    expect((await next.admin('GET', '/reseal')).json).toMatchObject({ state: 'running', done: 0 })
    silent = false
    await carriedOn(next)
    expect(await rootKeysOf('acme')).toEqual(['k2', 'k2', 'k2', 'k2'])
  })

  it('Resealing is not held up by mints, and mints are not held up by resealing', async () => {
    const acme = await sealedTenant()
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    const doors = doorsOf(next, acme)
    expectStatus(await next.admin('POST', '/reseal'), 202)
    await emulator.hold('generate-ice-servers', 'mint', { when: 'after' })
    const minted = doors.generate({ customIdentifier: 'ann' })
    await emulator.untilHeld('mint')
    await carriedOn(next)
    await emulator.release('mint')
    expectOutcome(await minted, '201')
    expect(await rootKeysOf('acme')).toEqual(['k2', 'k2', 'k2', 'k2', 'k2'])
  })
})

/** Rows as mints leave them, each with a password of its own. */
async function fillLedger(count: number): Promise<void> {
  const ring = ringOf(K1)
  const rows = await Promise.all(
    Array.from({ length: count }, async (_, n) => {
      const id = `cr_${String(n).padStart(22, '0')}`
      const place = { purpose: 'ice-password', tenant: 'acme', record: id, version: 1 } as const
      return { id, sealed: await seal(ring, place, `password ${n}`) }
    }),
  )
  const expiresAt = Date.now() + 60 * MINUTE_MS
  await runInDurableObject(tenantStub('acme'), (_, { storage }) => {
    storage.transactionSync(() => {
      for (const { id, sealed } of rows)
        storage.sql.exec(
          `INSERT INTO credentials (id, username, state, subject_id, key_uid, sealed, url_list, issued_at, expires_at)
           VALUES (?, ?, 'live', 'su_x', 'k', ?, 1, ?, ?)`,
          id,
          id,
          sealed,
          Date.now(),
          expiresAt,
        )
    })
  })
}
