/** TURN keys that upstream has lost, or whose secret is lost here: what still works, and how they go. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus, keysPath, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { expectFailure } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, keyRows, tenantSql } from '../support/storage/tenantRows.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

const expectDeleted = async () => expect((await keyRows('acme'))[0]).toMatchObject({ state: 'deleted', sealed: null })

describe('the deletion of a key with live credentials', () => {
  it('The deletion of a key with live credentials ends though upstream has lost the key, with which nothing can be revoked', async () => {
    const acme = await newIssuer()
    expectStatus(await acme.generate({ ttl: 3_600 }), 201)
    await emulator.removeKey(acme.uid)
    expectStatus(await acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token), 200)
    await expectDeleted()

    // An operation whose answer has no reader is not repeated for ever: it ends by itself.
    const asked = await countAsked('revoke')
    for (let round = 0; round < 3; round++) {
      passTime(MINUTE_MS)
      await runJobs('acme')
    }
    expect(await countAsked('revoke')).toBe(asked)
    passTime(HOUR_MS)
    await runJobs('acme')
    expect((await jobRows('acme')).filter(({ kind }) => kind === 'revoke-credentials')).toEqual([])
  })

  it('The deletion of a key with live credentials ends though its secret does not open any more', async () => {
    const acme = await newIssuer()
    expectStatus(await acme.generate({ ttl: 3_600 }), 201)
    await tenantSql('acme', "UPDATE turn_keys SET sealed = '1.k0.broken'")
    expectStatus(await acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token), 200)
    await expectDeleted()
    expect(await liveKeys()).toEqual([])
  })

  it('The deletion of a key with live credentials waits while upstream has the key and refuses to revoke', async () => {
    const acme = await newIssuer()
    expectStatus(await acme.generate({ ttl: 3_600 }), 201)
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 403 }, times: 'always' })
    expectFailure(await acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token), 'broker_busy')
    expect(await countAsked('delete')).toBe(0)
    await emulator.clearFaults()
    passTime(MINUTE_MS)
    await runJobs('acme')
    await until('the key is gone', async () => (await liveKeys()).length === 0)
    await expectDeleted()
  })
})

describe('the default key, when upstream has lost it,', () => {
  it('The default key, when upstream has lost it, is followed by the newest active one: the tenant goes on minting', async () => {
    const acme = await newIssuer()
    const second = await newTurnKey(acme.broker, acme, 'second')
    const patch = { policy: { defaultKeyId: acme.uid } }
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', patch), 200)
    await emulator.removeKey(acme.uid)
    expectFailure(await acme.generate({ ttl: 60 }), 'upstream_failed')
    await until('it is missing', async () => (await keyRows('acme'))[0]?.state === 'missing')
    expect((await acme.broker.admin('GET', '/tenants/acme')).json.policy.defaultKeyId).toBe(second)
    expectStatus(await acme.ice(await acme.clientToken()), 201)
    const minted = await tenantSql('acme', 'SELECT key_uid FROM credentials')
    expect(minted).toEqual([{ key_uid: second }])
  })

  it('The default key, when upstream has lost it, leaves no name behind where there is no other', async () => {
    const acme = await newIssuer()
    const patch = { policy: { defaultKeyId: acme.uid } }
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', patch), 200)
    await emulator.removeKey(acme.uid)
    passTime(HOUR_MS + MINUTE_MS)
    await acme.broker.call('GET', keysPath('acme', acme.uid), acme.token)
    expect((await acme.broker.admin('GET', '/tenants/acme')).json.policy.defaultKeyId).toBeNull()
    const third = await acme.broker.call('POST', keysPath('acme'), env.ADMIN_TOKEN, {})
    expectStatus(third, 201)
    expectStatus(await acme.ice(await acme.clientToken()), 201)
  })
})
