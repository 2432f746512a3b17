/** What becomes of a TURN key that was rotated: when it goes, and that it mints nothing any more. */

import { describe, expect, it } from 'vitest'
import { expectStatus } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { credentialRows, usable, usernameIn } from '../support/tenants/issuing.ts'
import {
  expectAgreement,
  expectWorkingKey,
  newRotating,
  settle,
  states,
  unfinished,
} from '../support/tenants/rotating.ts'

describe('G6: a key that was rotated', () => {
  it('G6: A key that was rotated retires when the last credential it minted has expired, and not before', async () => {
    const acme = await newRotating()
    const own = [usernameIn(await acme.mint(acme.uid, 600)), usernameIn(await acme.mint(acme.uid, 3_600))]
    const { retiresAt } = (await acme.rotate()).json.replaced
    const [last] = await tenantSql('acme', 'SELECT max(expires_at) AS at FROM credentials')
    // Expiries are counted by the second, rounded up.
    expect(Date.parse(retiresAt)).toBe(Math.ceil(Number(last?.at) / SECOND_MS) * SECOND_MS)
    passTime(Number(last?.at) - 1_000 - Date.now())
    await runJobs('acme')
    expect(await states()).toEqual(['retiring', 'active'])
    expectStatus(await acme.get(), 200)
    for (const username of own) expect(await usable()).toContain(username)

    passTime(3_000)
    for (let round = 0; round < 3; round++) await runJobs('acme')
    expect(await states()).toEqual(['deleted', 'active'])
    expect(await unfinished()).toEqual([])
    await expectAgreement()
  })

  it('G6: A key that was rotated retires earlier when what it minted was revoked', async () => {
    const acme = await newRotating({ maxServerTtl: 172_800 })
    expectStatus(await acme.mint(acme.uid, 172_800), 201)
    expectStatus(await acme.rotate(), 201)
    await acme.revocation({ keyId: acme.uid })
    await runJobs('acme')
    passTime(HOUR_MS + MINUTE_MS)
    for (let round = 0; round < 3; round++) await runJobs('acme')
    expect(await states()).toEqual(['deleted', 'active'])
  })

  it('G6: A key that was rotated goes at once with all that it minted, when that is asked', async () => {
    const acme = await newRotating()
    const old = [usernameIn(await acme.mint()), usernameIn(await acme.ice(await acme.clientToken()))]
    const answer = await acme.rotate({ revoke: true })
    expect(answer.json.replaced).toEqual({ uid: acme.uid, state: 'deleting', retiresAt: null })
    expect((await credentialRows()).filter(({ state }) => state === 'live')).toEqual([])
    await settle()
    expect(await states()).toEqual(['deleted', 'active'])
    for (const username of old) expect(await usable()).not.toContain(username)
    await expectAgreement()
    await expectWorkingKey(acme)
  })

  it('G6: A key that was rotated is asked for no mint any more', async () => {
    const acme = await newRotating()
    expectStatus(await acme.rotate(), 201)
    await emulator.clearLog()
    await expectWorkingKey(acme)
    expect((await emulator.log('generate-ice-servers')).filter(({ path }) => path.includes(acme.uid))).toEqual([])
  })

  it('G6: A key that was rotated that upstream has lost meanwhile goes without waiting', async () => {
    const acme = await newRotating()
    expectStatus(await acme.mint(), 201)
    expectStatus(await acme.rotate(), 201)
    await emulator.removeKey(acme.uid)
    expectFailure(await acme.rename('x'), 'no_such_key')
    expect(await states()).toEqual(['missing', 'active'])
    passTime(HOUR_MS)
    await settle()
    expect(await states()).toEqual(['deleted', 'active'])
  })
})
