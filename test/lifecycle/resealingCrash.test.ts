/** Resealing dies at every step, once each: no secret is ever unreadable, and resealing goes on where it was. */
import { runInDurableObject } from 'cloudflare:test'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { expectStatus, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { K1, K2, secretsOf } from '../support/storage/rings.ts'
import { accountStub } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, type Issuer, newIssuer, usernameIn } from '../support/tenants/issuing.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const SUBTLE = ['deriveKey', 'decrypt', 'encrypt'] as const
const READS = /^\s*(SELECT|WITH)\b/

/**
 * A process that dies at its n-th step: a write of SQL, a call of WebCrypto, a call of an object before it is made and
 * before its answer is taken. From then on it does nothing any more: what it would write is refused, as is every other step.
 */
function dyingAt(last: number) {
  const taken: string[] = []
  let [alive, on] = [true, false]
  const die = (what: string): void => {
    if (!on) return
    if (alive) taken.push(what)
    if (taken.length >= last) alive = false
    if (!alive) throw new Error('dead')
  }
  const step = (what: string): Promise<void> => Promise.resolve(what).then(die)

  /** Counts every step that `work` takes. */
  async function during(sql: SqlStorage, work: () => Promise<unknown>): Promise<void> {
    const prototype = Object.getPrototypeOf(sql) as SqlStorage
    const { exec } = prototype
    prototype.exec = function dying(this: SqlStorage, query: string, ...bindings: SqlStorageValue[]) {
      if (!READS.test(query)) die(query.trim().split(/\s+/, 3).join(' '))
      return exec.call(this, query, ...bindings)
    } as SqlStorage['exec']
    for (const name of SUBTLE) {
      const real = crypto.subtle[name].bind(crypto.subtle) as (...given: unknown[]) => unknown
      const dying = (...given: unknown[]) => step(name).then(() => real(...given))
      vi.spyOn(crypto.subtle, name).mockImplementation(dying as never) // each replacement calls the real one
    }
    on = true
    try {
      await work().catch(() => undefined)
    } finally {
      on = false
      prototype.exec = exec
      vi.restoreAllMocks()
    }
  }
  return { taken, step, during, died: () => !alive }
}

/** A tenant with two TURN keys and ann's password, and her username. */
async function sealedTenant(): Promise<{ acme: Issuer; username: string | undefined }> {
  passTime(2 * MINUTE_MS)
  const acme = await newIssuer()
  await newTurnKey(acme.broker, acme, 'second')
  const minted = await acme.ice(await acme.clientToken('ann'))
  return { acme, username: usernameIn(minted) }
}

/** Runs the order: three batches are enough for every secret. */
async function run(broker: ReturnType<typeof deploy>, batches = 3): Promise<void> {
  for (let runs = 0; runs < batches; runs++) {
    await broker.runAccount()
    passTime(1)
  }
}

/** The steps of a whole run: one test dies at each of them. */
const STEPS = 61

describe('G12: resealing', () => {
  it.each(Array.from({ length: STEPS + 1 }, (_, at) => at + 1))(
    'G12: Resealing that dies at step %i is carried on, and every secret stays readable',
    async (last) => {
      const { acme, username } = await sealedTenant()
      const dying = dyingAt(last)
      const doomed = deploy({ ROOT_KEYS: `${K2},${K1}` }, dying.step)
      const order = deploy({ ROOT_KEYS: `${K2},${K1}` })
      expectStatus(await order.admin('POST', '/reseal'), 202)
      const sql = await runInDurableObject(accountStub(), (_, { storage }) => storage.sql)
      await dying.during(sql, () => run(doomed))

      // At this very moment each secret opens where it is stored, with the root keys of the deployment that died.
      expect(await secretsOf('acme')).toMatchObject(Array(3).fill({ opens: true }))
      expect(dying.taken.length, dying.taken.join()).toBe(Math.min(last, STEPS))
      expect(dying.died()).toBe(last <= STEPS)

      const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
      const doors = doorsOf(next, acme)
      expectOutcome(await doors.generate(), '201')
      passTime(20_000)
      await run(next, 6)
      expect((await next.admin('GET', '/reseal')).json).toMatchObject({
        state: 'done',
        moved: 3,
        unreadable: 0,
        left: 0,
      })
      expect(await secretsOf('acme')).toMatchObject(Array(3).fill({ rootKey: 'k2', version: 2, opens: true }))

      const later = doorsOf(deploy({ ROOT_KEYS: K2 }), acme)
      const reused = await later.ice(await later.clientToken('ann'))
      expect(usernameIn(reused), reused.text).toBe(username)
      expectOutcome(await later.generate(), '201')
    },
  )
})
