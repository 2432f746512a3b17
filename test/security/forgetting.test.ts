/** G19: an end user's name stands in one row and nowhere else: not in hashes that can be guessed, nor at the rate limiter. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { sha256 } from '../../src/crypto/digest.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, passTime } from '../support/broker/clock.ts'
import { tenantPath } from '../support/broker/doors.ts'
import { everythingStored, runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

const NAME = 'alice@example.com'

/** A walk that names a subject wherever a request can. */
async function walked() {
  const acme = await newIssuer()
  const broker = newBroker()
  expectStatus(await acme.ice(await acme.clientToken(NAME)), 201)
  const body = { subject: NAME }
  const keyed = { 'idempotency-key': 'k' }
  expectStatus(await broker.call('POST', tenantPath('acme', 'revocations'), env.ADMIN_TOKEN, body, keyed), 202)
  const { subjectId } = (await broker.call('POST', tenantPath('acme', 'subjects/search'), env.ADMIN_TOKEN, body)).json
  return { acme, broker, subjectId: String(subjectId), body: JSON.stringify(body) }
}

describe('an erased subject', () => {
  it('G19: Nothing that is stored after an erasure holds the name or an unkeyed hash of a body that named it', async () => {
    const { broker, subjectId, body } = await walked()
    expect(await everythingStored()).toContain(NAME)
    expectStatus(await broker.call('DELETE', tenantPath('acme', `subjects/${subjectId}`), env.ADMIN_TOKEN), 204)
    const stored = await everythingStored()
    expect(stored).toContain(subjectId)
    // A dictionary of e-mail addresses: what anybody without the root key can compute.
    for (const guess of [NAME, NAME.toUpperCase(), body, `acme ${NAME}`]) {
      const bytes = new TextEncoder().encode(guess)
      const hex = bytes.toHex()
      expect(stored).not.toContain(guess)
      expect(stored).not.toContain(hex)
      expect(stored).not.toContain(await sha256(guess))
    }
  })

  it('G19: The record of an Idempotency-Key is deleted after a day, also when the tenant never sends another one', async () => {
    await walked()
    const rows = () => tenantSql('acme', 'SELECT key FROM idempotency')
    expect(await rows()).toHaveLength(1)
    passTime(DAY_MS + HOUR_MS)
    await runJobs('acme')
    expect(await rows()).toEqual([])
  })
})

describe('the rate limiter of subjects', () => {
  it('G19: The rate limiter of subjects is given no name', async () => {
    const acme = await newIssuer()
    const keys: string[] = []
    const limit = ({ key }: { key: string }) => Promise.resolve({ success: keys.push(key) > 0 })
    const edge = newBroker({ RATE_SUBJECT: { limit }, RATE_IP: { limit }, RATE_TENANT: { limit } })
    const headers = { authorization: `Bearer ${await acme.clientToken(NAME)}` }
    expectStatus(await edge.call('POST', tenantPath('acme', 'ice-servers'), undefined, undefined, headers), 201)
    expect(keys.length).toBeGreaterThan(0)
    const unkeyed = await sha256(NAME)
    for (const key of keys) for (const guess of [NAME, unkeyed]) expect(key).not.toContain(guess)
  })
})
