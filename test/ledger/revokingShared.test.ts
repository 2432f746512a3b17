/** G6 with several operations in flight: the removal of a TURN key during a mint, and callers that share one mint. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newToken } from '../support/broker/broker.ts'
import { passTime, until } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, keyRows } from '../support/storage/tenantRows.ts'
import {
  countingBindings,
  credentialRows,
  doorsOf,
  expectOutcome,
  expectTakenBack,
  type Issuer,
  mintsAsked,
  newIssuer,
  upstreamCredentials,
  usernameIn,
  whileMinting,
} from '../support/tenants/issuing.ts'

/** Calls of one subject that share one mint, which is held open until `happens` is through. */
async function alsoWaiting(acme: Issuer, tokens: string[], happens: () => Promise<unknown>): Promise<Answer[]> {
  const { counts, bindings } = countingBindings()
  const edge = doorsOf(newBroker(bindings), acme)
  const [first = '', ...rest] = tokens
  const others: Promise<Answer>[] = []
  const answer = await whileMinting(
    () => acme.ice(first),
    async () => {
      others.push(...rest.map((token) => edge.ice(token)))
      await until('the others wait too', async () => counts.rpc === rest.length)
      await happens()
    },
  )
  return [answer, ...(await Promise.all(others))]
}

describe('G6: a mint in flight beside other operations', () => {
  it('G6: When the TURN key is deleted during a mint, nothing is handed out and the key outlives the credential', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    let deleted: Promise<Answer> | undefined
    const answer = await whileMinting(
      () => acme.ice(token),
      async () => {
        deleted = acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token)
        await until('the key mints no more', async () => (await keyRows('acme'))[0]?.state === 'deleting')
      },
    )
    expectOutcome(answer, '409 no_turn_key')
    expect(usernameIn(answer)).toBeUndefined()
    expectStatus((await deleted) as Answer, 200)
    expect(await upstreamCredentials()).toMatchObject([{ revoked: true }])
    expect(await credentialRows()).toMatchObject([{ state: 'revoked', sealed: null }])
    expect((await emulator.state()).keys).toMatchObject([{ deleted: expect.any(String) }])
    expect((await jobRows('acme')).map(({ kind }) => kind)).not.toContain('remove-turn-key')
  })

  it('G6: When a mint takes longer than the deletion of its TURN key waits, the key is deleted after the mint', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token),
      async () => {
        const deleted = acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token)
        await until('the key mints no more', async () => (await keyRows('acme'))[0]?.state === 'deleting')
        passTime(3_000)
        expectOutcome(await deleted, '503 31024')
      },
    )
    expectOutcome(answer, '409 no_turn_key')
    expect((await emulator.state()).keys).toMatchObject([{ deleted: null }])
    await expectTakenBack(answer)
    await runJobs('acme')
    expect((await emulator.state()).keys).toMatchObject([{ deleted: expect.any(String) }])
  })

  it('G6: When the token of the caller who began a shared mint is deleted, the other caller is served', async () => {
    const acme = await newIssuer()
    const second = await newToken(acme.broker, 'acme', ['client_tokens:create'])
    const [doomed, good] = [await acme.clientToken('ann'), await acme.clientToken('ann', {}, second.token)]
    passTime(120_000)
    const answers = await alsoWaiting(acme, [doomed, good], async () =>
      expectStatus(await acme.broker.admin('DELETE', `/tenants/acme/api-tokens/${acme.tokenId}`), 204),
    )
    const [answer, served] = answers as [Answer, Answer]
    expectOutcome(answer, '401 invalid_token')
    expectOutcome(served, '201')
    await expectTakenBack(answer, [String(usernameIn(served))])
  })

  it('G6: When the token of a caller who waits for a shared mint is deleted, only the other caller is served', async () => {
    const acme = await newIssuer()
    const second = await newToken(acme.broker, 'acme', ['client_tokens:create'])
    const [good, doomed] = [await acme.clientToken('ann', {}, second.token), await acme.clientToken('ann')]
    const answers = await alsoWaiting(acme, [good, doomed], async () =>
      expectStatus(await acme.broker.admin('DELETE', `/tenants/acme/api-tokens/${acme.tokenId}`), 204),
    )
    const [served, refused] = answers as [Answer, Answer]
    expectOutcome(served, '201')
    expectOutcome(refused, '401 invalid_token')
    expect(usernameIn(refused)).toBeUndefined()
    expect(await credentialRows()).toMatchObject([{ state: 'live' }])
  })

  it('G6: When the token of all callers of a shared mint is deleted, none of them mints for itself', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    const answers = await alsoWaiting(acme, [token, token, token], async () =>
      expectStatus(await acme.broker.admin('DELETE', `/tenants/acme/api-tokens/${acme.tokenId}`), 204),
    )
    for (const answer of answers) expectOutcome(answer, '401 invalid_token')
    expect(await mintsAsked()).toHaveLength(1)
  })

  it('G6: When the subject is revoked during a shared mint, all parallel callers are refused', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answers = await alsoWaiting(acme, [token, token, token], () => acme.revocation({ subject: 'ann' }))
    for (const answer of answers) expectOutcome(answer, '503 broker_busy')
    await expectTakenBack(answers[0] as Answer)
  })
})
