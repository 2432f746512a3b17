/** G5: a creation that upstream answers with a lie in the documented shape. */

import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import { expectStatus, keysPath, newBroker, newTenant } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, keyRows } from '../support/storage/tenantRows.ts'

const newAcme = async () => {
  const broker = newBroker()
  return { broker, acme: await newTenant(broker, 'acme', { scopes: [...SCOPES] }) }
}

const create = async () => {
  const { broker, acme } = await newAcme()
  const answer = await broker.call('POST', keysPath('acme'), acme.token, { name: 'first' })
  return { broker, acme, answer }
}

const isSettled = async () => (await jobRows('acme')).every(({ kind }) => kind !== 'settle-creation')

describe('G5: an answer to a creation that', () => {
  it('G5: An answer to a creation that is a sample about nothing, with no name, is not believed', async () => {
    await emulator.fault({ operation: 'create', fault: { kind: 'shape', shape: 'foreign-uid', when: 'before' } })
    const { answer } = await create()
    expectFailure(answer, 'outcome_unknown')
    expect(await keyRows('acme')).toMatchObject([{ state: 'unknown', uid: null, sealed: null }])
  })

  it('G5: An answer to a creation that tells another uid is not shown, what was really made is undone, and a repeat is refused', async () => {
    await emulator.fault({ operation: 'create', fault: { kind: 'shape', shape: 'foreign-uid' } })
    const { broker, acme } = await newAcme()
    const ask = () => broker.call('POST', keysPath('acme'), acme.token, { name: 'first' }, { 'idempotency-key': 'k' })
    expectFailure(await ask(), 'outcome_unknown')
    expect((await broker.call('GET', keysPath('acme'), acme.token)).json.result).toEqual([])
    await until('the stray is gone', async () => (await liveKeys()).length === 0)
    for (let minutes = 0; minutes < 20; minutes += 5) {
      passTime(5 * MINUTE_MS)
      await runJobs('acme')
    }
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await keyRows('acme')).toMatchObject([{ state: 'deleted', sealed: null }])
    expectFailure(await ask(), 'upstream_failed')
    expect(await jobRows('acme')).toEqual([])
  })

  it('G5: An answer to a creation that tells another uid, while Cloudflare mints for no key, is found out by the first mint, and what was really made is undone', async () => {
    await emulator.fault({ operation: 'create', fault: { kind: 'shape', shape: 'foreign-uid' } })
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 503 } })
    const { broker, acme, answer } = await create()
    expectStatus(answer, 201)
    const uid = String(answer.json.result.uid)
    expect((await liveKeys()).map((key) => key.uid)).not.toContain(uid)

    const mint = () => broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate`, acme.token, { ttl: 60 })
    expectFailure(await mint(), 'upstream_failed')
    await until('the key is missing', async () => (await keyRows('acme'))[0]?.state === 'missing')
    await until('the stray is gone', async () => (await liveKeys()).length === 0)
    await until('nothing is left to do', isSettled)
    expect(await countAsked('delete')).toBe(1)
    expectStatus(await broker.call('DELETE', keysPath('acme', uid), acme.token), 200)
  })

  it('G5: An answer to a creation that tells another uid, while Cloudflare mints for no key, is found out by a look-up too, an hour later', async () => {
    await emulator.fault({ operation: 'create', fault: { kind: 'shape', shape: 'foreign-uid' } })
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 503 } })
    const { broker, acme, answer } = await create()
    passTime(HOUR_MS + MINUTE_MS)
    const found = await broker.call('GET', keysPath('acme', answer.json.result.uid), acme.token)
    expect(found.json.result, found.text).toMatchObject({ state: 'missing' })
    passTime(MINUTE_MS)
    await runJobs('acme')
    expect(await liveKeys()).toEqual([])
    expect(await jobRows('acme')).toEqual([])
  })
})

it('A key that upstream lost and has under no other uid is only missing: nothing is deleted', async () => {
  const { broker, acme, answer } = await create()
  const second = await broker.call('POST', keysPath('acme'), acme.token, { name: 'second' })
  const { uid } = answer.json.result
  await emulator.removeKey(uid)
  const mint = await broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate`, acme.token, { ttl: 60 })
  expectFailure(mint, 'upstream_failed')
  await until('the key is missing', async () => (await keyRows('acme'))[0]?.state === 'missing')
  await until('nothing is left to do', isSettled)
  expect(await countAsked('delete')).toBe(0)
  expect((await liveKeys()).map((key) => key.uid)).toEqual([second.json.result.uid])
})
