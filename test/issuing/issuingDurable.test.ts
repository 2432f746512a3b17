/** G1: no credential leaves unless its ledger row and its audit row are durably stored. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { passTime, until } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { breakAudit, repairAudit, tenantSql } from '../support/storage/tenantRows.ts'
import {
  credentialRows,
  expectOutcome,
  type Issuer,
  killObjects,
  mintsAsked,
  newIssuer,
  upstreamCredentials,
  usable,
  usernameIn,
  whileMinting,
} from '../support/tenants/issuing.ts'

const STORAGE_FAILED = '503 storage_failed'
const TWIN_STORAGE_FAILED = '503 31025'

const rename = (table: string) => tenantSql('acme', `ALTER TABLE ${table} RENAME TO away`)
const renameBack = (table: string) => tenantSql('acme', `ALTER TABLE away RENAME TO ${table}`)

/** A row that breaks a deferred constraint: every statement succeeds, and the commit itself fails. */
const breakCommit = async () => {
  await tenantSql('acme', 'CREATE TABLE trap (x REFERENCES tenant (one) DEFERRABLE INITIALLY DEFERRED)')
  await tenantSql('acme', 'CREATE TRIGGER trapped AFTER INSERT ON credentials BEGIN INSERT INTO trap VALUES (99); END')
}

/** The usernames handed out that are not in both the ledger and the audit trail. Must be empty. */
async function unrecorded(answers: readonly Answer[]): Promise<string[]> {
  const handedOut = answers.flatMap((answer) => usernameIn(answer) ?? [])
  const rows = await tenantSql(
    'acme',
    `SELECT username FROM credentials WHERE EXISTS
       (SELECT 1 FROM audit_events WHERE target = credentials.id AND action = 'credential.issue' AND outcome = 'done')`,
  )
  const recorded = new Set(rows.map(({ username }) => username))
  return handedOut.filter((username) => !recorded.has(username))
}

const askers: [string, (acme: Issuer) => Promise<() => Promise<Answer>>, string][] = [
  [
    'a browser',
    async ({ clientToken, ice }) => {
      const token = await clientToken()
      return () => ice(token)
    },
    STORAGE_FAILED,
  ],
  [
    'a server',
    async ({ generate }) =>
      () =>
        generate({ customIdentifier: 'ann' }),
    TWIN_STORAGE_FAILED,
  ],
]

describe.each(askers)('G1: a failure during the mint of %s', (name, prepare, refusal) => {
  it.each(['audit_events', 'credentials', 'url_lists', 'jobs', 'subjects'])(
    `G1: When the table %s breaks during the mint of ${name}, nothing is handed out, and the credential is revoked`,
    async (table) => {
      const acme = await newIssuer()
      const ask = await prepare(acme)
      const answer = await whileMinting(ask, () => rename(table))
      expectOutcome(answer, refusal)
      expect(usernameIn(answer)).toBeUndefined()
      await until('the credential is revoked upstream', async () => (await usable()).length === 0)
      expect(await upstreamCredentials()).toMatchObject([{ revoked: true }])

      await renameBack(table)
      expect(await credentialRows()).toEqual([])
      const next = await ask()
      expectOutcome(next, '201')
      expect(await unrecorded([next])).toEqual([])
    },
  )

  it(`G1: When the commit of a mint of ${name} fails, the answer is 503 and the credential is never handed out`, async () => {
    const acme = await newIssuer()
    const ask = await prepare(acme)
    await breakCommit()
    const answer = await ask()
    expectOutcome(answer, refusal)
    expect(usernameIn(answer)).toBeUndefined()
    expect(await upstreamCredentials()).toHaveLength(1)
    expect(await credentialRows()).toEqual([])

    await tenantSql('acme', 'DROP TRIGGER trapped')
    const next = await ask()
    expectOutcome(next, '201')
    expect(await unrecorded([next])).toEqual([])
  })

  it(`G1: When the object dies during the mint of ${name}, the answer is 503, and it mints again after its restart`, async () => {
    const acme = await newIssuer()
    const ask = await prepare(acme)
    const answer = await whileMinting(ask, () => killObjects())
    expectOutcome(answer, refusal)
    expect(usernameIn(answer)).toBeUndefined()
    expect(await credentialRows()).toEqual([])
    const next = await ask()
    expectOutcome(next, '201')
    expect(await unrecorded([next])).toEqual([])
  })
})

describe('G1: the records of credentials', () => {
  it('G1: An object that dies at any moment around the commit hands out no credential that it has not stored', async () => {
    const acme = await newIssuer({ reuse: false, maxLiveCredentialsPerSubject: 1_000 })
    const token = await acme.clientToken()
    const answers: Answer[] = []
    for (let round = 0; round < 12; round++) {
      await emulator.hold('generate-ice-servers', 'mint', { when: 'after' })
      const asked = [acme.ice(token), acme.generate()]
      await emulator.untilHeld('mint')
      await emulator.release('mint')
      await new Promise((resolve) => setTimeout(resolve, round / 2))
      await killObjects()
      answers.push(...(await Promise.all(asked)))
    }
    expect(await unrecorded(answers)).toEqual([])
    for (const answer of answers) expect([201, 503], answer.text).toContain(answer.status)
  })

  it('G1: A credential that was answered is in the ledger after the object died and restarted', async () => {
    const acme = await newIssuer()
    const answer = await acme.generate()
    await killObjects()
    expectOutcome(answer, '201')
    expect(await unrecorded([answer])).toEqual([])
  })

  it('G1: A reuse that cannot be written to the audit trail is not answered', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    expectOutcome(await acme.ice(token), '201')
    await breakAudit('acme')
    expectOutcome(await acme.ice(token), STORAGE_FAILED)
    await repairAudit('acme')
    expectOutcome(await acme.ice(token), '201')
    expect(await mintsAsked()).toHaveLength(1)
  })

  it('G1: The background revocation of an unrecorded credential is repeated while upstream fails', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: 2 })
    const answer = await whileMinting(
      () => acme.ice(token),
      () => breakAudit('acme'),
    )
    expectOutcome(answer, STORAGE_FAILED)
    await until('the credential is revoked upstream', async () => (await usable()).length === 0)
    expect(await emulator.log('revoke')).toHaveLength(3)
  })

  it('G1: A failed write leaves no reservation behind', async () => {
    const acme = await newIssuer({ maxLiveCredentials: 1 })
    await breakAudit('acme')
    for (let round = 0; round < 3; round++) expectOutcome(await acme.generate(), TWIN_STORAGE_FAILED)
    await repairAudit('acme')
    expectOutcome(await acme.generate(), '201')
    expectOutcome(await acme.generate(), '429 31020')
  })

  it('G1: A revocation that could not be stored revokes nothing, and the limits count as before', async () => {
    const acme = await newIssuer({ maxLiveCredentials: 2 })
    passTime(120_000)
    expectOutcome(await acme.generate(), '201')
    expectOutcome(await acme.generate(), '201')
    await breakAudit('acme')
    expectOutcome(await acme.post('/revocations', { all: true }), STORAGE_FAILED)
    await repairAudit('acme')
    await runJobs('acme')
    expect(await usable()).toHaveLength(2)
    expect((await credentialRows()).map(({ state }) => state)).toEqual(['live', 'live'])
    expectOutcome(await acme.generate(), '429 31020')
  })
})
