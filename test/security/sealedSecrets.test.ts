/** Secrets in a tenant's own rows open only where they stand: what somebody with the database moves or puts back does not. */

import { describe, expect, it } from 'vitest'
import { expectStatus, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { deploy } from '../support/broker/deployment.ts'
import { credentialsPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { K1, K2, secretsOf } from '../support/storage/rings.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { doorsOf, expectOutcome, killObjects, mintsAsked, newIssuer, usernameIn } from '../support/tenants/issuing.ts'

type Doors = Pick<ReturnType<typeof doorsOf>, 'ice' | 'clientToken'>
type Deployment = ReturnType<typeof deploy>

/** Two TURN keys and the passwords of ann and bob. */
async function sealedTenant() {
  passTime(2 * MINUTE_MS)
  const acme = await newIssuer()
  const second = await newTurnKey(acme.broker, acme, 'second')
  for (const subject of ['ann', 'bob']) expectOutcome(await acme.ice(await acme.clientToken(subject)), '201')
  return { ...acme, uids: [acme.uid, second] }
}

/** How many of the two TURN keys mint; those that do not are a 500, and upstream is not asked with anything. */
async function minting(broker: Pick<Deployment, 'call'>, it: { token: string; uids: string[] }): Promise<number> {
  await emulator.clearLog()
  const answers = await Promise.all(
    it.uids.map((uid) => broker.call('POST', credentialsPath(uid, 'generate'), it.token, {})),
  )
  const minted = answers.filter(({ status }) => status === 201).length
  for (const answer of answers) if (answer.status !== 201) expectOutcome(answer, '500 31022')
  expect(await mintsAsked()).toHaveLength(minted)
  return minted
}

/** How many of the two passwords are handed out again. */
async function reused({ ice, clientToken }: Doors): Promise<number> {
  const answers = [await ice(await clientToken('ann')), await ice(await clientToken('bob'))]
  for (const answer of answers) if (answer.status !== 201) expectOutcome(answer, '500 internal')
  return answers.filter(({ json }) => json.source === 'reused').length
}

/** Of two rows. */
const swap = (table: string, columns: string) =>
  tenantSql(
    'acme',
    `WITH before AS MATERIALIZED (SELECT * FROM ${table})
     UPDATE ${table} SET (${columns}) = (SELECT ${columns} FROM before WHERE before.seq = 3 - ${table}.seq)`,
  )

describe('G4: in a tenant’s rows', () => {
  it('G4: In a tenant’s rows two secrets that were swapped open nothing', async () => {
    const acme = await sealedTenant()
    expect([await minting(acme.broker, acme), await reused(acme)]).toEqual([2, 2])
    await swap('turn_keys', 'sealed')
    expect(await minting(acme.broker, acme)).toBe(0)
    await swap('turn_keys', 'sealed')
    await tenantSql('acme', 'DELETE FROM credentials WHERE seq > 2')
    await swap('credentials', 'sealed')
    expect(await reused(acme)).toBe(0)
  })

  it('G4: In a tenant’s rows a password in the place of a TURN key’s secret opens nothing, nor the other way round', async () => {
    const acme = await sealedTenant()
    await tenantSql('acme', 'UPDATE turn_keys SET sealed = (SELECT sealed FROM credentials WHERE seq = turn_keys.seq)')
    expect(await minting(acme.broker, acme)).toBe(0)
  })

  it('G4: In a tenant’s rows an older version that is put back after a reseal opens nothing, though its root key is still there', async () => {
    const acme = await sealedTenant()
    const older = await secretsOf('acme')
    const next = deploy({ ROOT_KEYS: `${K2},${K1}` })
    expectStatus(await next.admin('POST', '/reseal'), 202)
    for (let runs = 0; runs < 4; runs++) {
      await next.runAccount()
      passTime(1)
    }
    const doors = doorsOf(next, acme)
    expect([await minting(next, acme), await reused(doors)]).toEqual([2, 2])

    const newer = await secretsOf('acme')
    await tenantSql('acme', 'DELETE FROM credentials WHERE seq > 2')
    for (const { record, sealed } of older) {
      for (const [table, id] of [
        ['turn_keys', 'uid'],
        ['credentials', 'username'],
      ]) {
        await tenantSql('acme', `UPDATE ${table} SET sealed = '${sealed}' WHERE ${id} = '${record}'`)
      }
    }
    expect((await secretsOf('acme')).map(({ opens }) => opens)).toEqual([false, false, false, false])
    expect([await minting(next, acme), await reused(doors)]).toEqual([0, 0])
    expect(newer.map(({ version }) => version)).toContain(2)
  })

  it('G4: In a tenant’s rows a secret of another tenant opens nothing', async () => {
    const acme = await sealedTenant()
    const other = await newIssuer({}, 'other')
    const [theirs] = await secretsOf('other')
    const sql = `UPDATE turn_keys SET sealed = '${theirs?.sealed}', uid = '${other.uid}' WHERE seq = 1`
    await tenantSql('acme', sql)
    await tenantSql('acme', `UPDATE turn_keys SET state = 'missing' WHERE seq = 2`)
    await killObjects()
    expectOutcome(await acme.ice(await acme.clientToken('carl')), '500 internal')
    expect(usernameIn(await other.generate())).toBeDefined()
  })
})
