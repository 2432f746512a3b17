/** What the object's memory forgets after a transaction that was rolled back, and what it keeps. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { countLedger } from '../../src/tenant/ledger/counts.ts'
import { ObjectMemory } from '../../src/tenant/memory/objectMemory.ts'
import { newBroker, newTenant } from '../support/broker/broker.ts'

const NOW = 1_800_000_000_000
const newMemory = () => new ObjectMemory({ now: () => NOW, checkCoolDownMs: 60_000 })

describe("an object's memory after a rollback", () => {
  it('After a rollback the object forgets the pruning job, root keys and counts of that transaction', async () => {
    await newTenant(newBroker(), 'acme')
    const object = env.TENANTS.get(env.TENANTS.idFromName('acme'))
    const counts = await runInDurableObject(object, (_, { storage }) => {
      const memory = newMemory()
      const load = () => memory.live.load(() => countLedger(storage.sql, NOW), NOW)
      load()
      memory.live.add({ seq: 1, keyUid: 'k', issuedAt: NOW, expiresAt: NOW + 60_000 }, 'live')
      memory.live.minted(NOW)
      memory.sealedWith.add('root-1')
      memory.pruningScheduled = true
      load()
      const reported = [memory.live.liveCredentials(NOW), memory.live.mintsInLastMinute(NOW)]
      memory.forget()
      load()
      const { live, sealedWith, pruningScheduled } = memory
      return {
        reported,
        kept: [live.liveCredentials(NOW), live.mintsInLastMinute(NOW), sealedWith.size],
        pruningScheduled,
      }
    })
    expect(counts).toEqual({ reported: [1, 1], kept: [0, 0, 0], pruningScheduled: false })
  })

  it('After a rollback the object keeps mints with their reservations, checks, creations, retries and counted refusals', () => {
    const memory = newMemory()
    const never = new Promise<never>(() => undefined)
    memory.mintsInFlight.add({ subject: 'alice', subjectId: 'su_1', keyUid: 'k', revoked: false, replaced: false })
    void memory.sharedMints.lead('share', () => never)
    void memory.keyChecks.lead('k', () => never)
    memory.creations.add('intent')
    memory.sdkRetries.set('request', never)
    memory.refusals.rows.set('name', { seq: 1, count: 2, written: 1 })
    const release = memory.live.reserve('su_1')
    memory.forget()
    const { mintsInFlight, creations, sdkRetries, refusals } = memory
    for (const kept of [mintsInFlight, creations, sdkRetries, refusals.rows]) expect(kept.size).toBe(1)
    expect(memory.sharedMints.underWay('share')).toBeDefined()
    expect(memory.keyChecks.underWay('k')).toBeDefined()
    expect(memory.live.reservedFor('su_1')).toBe(1)
    release()
    expect(memory.live.reservedFor('su_1')).toBe(0)
  })

  it('The object knows the id that a mint in flight has chosen for its subject, and none for another subject', () => {
    const memory = newMemory()
    const flight = { keyUid: 'k', revoked: false, replaced: false }
    memory.mintsInFlight.add({ ...flight, subject: null, subjectId: null })
    memory.mintsInFlight.add({ ...flight, subject: 'alice', subjectId: 'su_1' })
    expect([memory.subjectIdInFlight('alice'), memory.subjectIdInFlight('bob')]).toEqual(['su_1', undefined])
  })
})
