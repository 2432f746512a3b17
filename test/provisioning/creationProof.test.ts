/** G5: a created key mints once before it is shown: what Cloudflare says to that, and what the caller is answered. */
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import { expectStatus, keysPath, newBroker, newTenant } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, keyRows, tenantSql } from '../support/storage/tenantRows.ts'

async function newAcme() {
  const broker = newBroker()
  const acme = await newTenant(broker, 'acme', { scopes: [...SCOPES] })
  const create = () => broker.call('POST', keysPath('acme'), acme.token, { name: 'first' }, { 'idempotency-key': 'k' })
  const proofIs = (status: number, times: number | 'always' = 'always') =>
    emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status }, times })
  const minted = ({ uid, key }: { uid: string; key?: string }) =>
    expect({ uid, key }).toMatchObject({ key: expect.any(String) })
  return { broker, create, proofIs, minted }
}

const states = async () => (await keyRows('acme')).map(({ state }) => state)

describe('the first mint of a created key', () => {
  it('G5: The first mint of a created key is one call of a minute that names the creation, and is on no ledger', async () => {
    const { create } = await newAcme()
    expectStatus(await create(), 201)
    const [row] = await keyRows('acme')
    expect(await emulator.creationProofs()).toMatchObject([
      { operation: 'generate-ice-servers', body: { ttl: 60, customIdentifier: `tb.test.${row?.intent}` }, status: 201 },
    ])
    expect(await tenantSql('acme', 'SELECT 1 FROM credentials')).toEqual([])
    expect(await jobRows('acme')).toEqual([])
  })

  it.each([401, 403, 404])(
    'G5: The first mint of a created key is repeated after a %i, and then the key is shown',
    async (status) => {
      const { create, proofIs, minted } = await newAcme()
      await proofIs(status, 2)
      const answer = await create()
      expectStatus(answer, 201)
      minted(answer.json.result)
      expect(await emulator.creationProofs()).toHaveLength(3)
    },
  )

  it.each([500, 503, 429, 400])(
    'The first mint of a created key that is answered %i says nothing against the key',
    async (status) => {
      const { create, proofIs, minted } = await newAcme()
      await proofIs(status)
      const answer = await create()
      expectStatus(answer, 201)
      minted(answer.json.result)
      expect(await states()).toEqual(['active'])
    },
  )

  it('G5: The first mint of a created key that is refused for a while is made by the job, and then a repeat is shown the key', async () => {
    const { create, proofIs, minted } = await newAcme()
    await proofIs(401, 3)
    const answer = await create()
    expectFailure(answer, 'outcome_unknown')
    expect(answer.headers.get('x-should-retry')).toBe('false')
    expectFailure(await create(), 'outcome_unknown')
    expect(await states()).toEqual(['creating'])
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await states()).toEqual(['active'])
    const repeat = await create()
    expectStatus(repeat, 201)
    minted(repeat.json.result)
    expect(await liveKeys()).toHaveLength(1)
    expect(await jobRows('acme')).toEqual([])
  })

  it('G5: The first mint of a created key that is refused for a quarter of an hour ends the creation: no key is left', async () => {
    const { create, proofIs } = await newAcme()
    await proofIs(401)
    expectFailure(await create(), 'outcome_unknown')
    for (let round = 0; round < 6; round++) {
      passTime(5 * MINUTE_MS)
      await runJobs('acme')
    }
    expect(await states()).toEqual(['deleted'])
    expect(await liveKeys()).toEqual([])
    expectFailure(await create(), 'upstream_failed')
    expect(await jobRows('acme')).toEqual([])
  })

  it('G5: A tenant that is suspended during the first mint of a created key is refused, and the key goes', async () => {
    const { broker, create } = await newAcme()
    await emulator.hold('generate-ice-servers', 'proof', { when: 'after' })
    const asked = create()
    await emulator.untilHeld('proof')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    await emulator.release('proof')
    expectFailure(await asked, 'tenant_suspended')
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await states()).toEqual(['deleted'])
    expect(await liveKeys()).toEqual([])
  })
})
