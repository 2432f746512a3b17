/** Bounded tables: what a token may order without end is refused or makes room, and what is over does not count. */
import { describe, expect, it } from 'vitest'
import { MAX_OPEN_BANS, MAX_REVOCATIONS } from '../../src/contract/resources/revocations.ts'
import { MAX_ENDED_BANS } from '../../src/tenant/core/banRows.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { expectOutcome, type Issuer, newIssuer } from '../support/tenants/issuing.ts'

const later = (ms: number) => new Date(Date.now() + ms).toISOString()
const count = async (of: string): Promise<number> =>
  Number((await tenantSql('acme', `SELECT count(*) AS n FROM ${of}`))[0]?.n)
/** One that was never set is 0. */
const marks = async () => ({
  'ended-bans': 0,
  ...Object.fromEntries(
    (await tenantSql('acme', 'SELECT name, value FROM marks')).map(({ name, value }) => [name, value]),
  ),
})

const ban = ({ post }: Issuer, subject: string, ms = HOUR_MS) => post('/bans', { subject, until: later(ms) })
const lift = ({ post }: Issuer, id: string) => post(`/bans/${id}/lift`, undefined)

/** Bans in force beyond those that there are, up to `open` of them. */
const plantBans = async (open: number): Promise<void> => {
  await tenantSql(
    'acme',
    `INSERT INTO bans (id, token_id, until, created_at)
     WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${open} - (SELECT count(*) FROM bans))
     SELECT 'planted-' || i, 'x', ${Date.now() + 2 * HOUR_MS}, ${Date.now()} FROM n`,
  )
  await tenantSql('acme', `UPDATE marks SET value = ${open} WHERE name = 'open-bans'`)
}

describe('bans', () => {
  it(`A tenant has at most ${MAX_OPEN_BANS} bans in force, and one that is lifted or over makes room`, async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    const first = await ban(acme, 'ann')
    expectStatus(first, 201)
    await plantBans(MAX_OPEN_BANS - 1)
    expectStatus(await ban(acme, 'bob', MINUTE_MS), 201)
    const refused = await ban(acme, 'cleo')
    expectOutcome(refused, '409 conflict')
    expect(refused.json.detail).toContain(`at most ${MAX_OPEN_BANS} bans in force`)
    const withBan = { subject: 'cleo', banUntil: later(HOUR_MS) }
    expectOutcome(await acme.post('/revocations', withBan), '409 conflict')

    expectStatus(await lift(acme, String(first.json.id)), 200)
    expectStatus(await ban(acme, 'dora'), 201)
    expectOutcome(await ban(acme, 'emil'), '409 conflict')
    passTime(2 * MINUTE_MS)
    expectStatus(await ban(acme, 'emil'), 201)
    expectOutcome(await ban(acme, 'fred'), '409 conflict')
  })

  it('The number of bans in force is that of the rows after creations, lifts, ends and pruning', async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    const made: string[] = []
    for (const [at, ms] of [MINUTE_MS, HOUR_MS, MINUTE_MS, 2 * HOUR_MS, HOUR_MS].entries()) {
      made.push(String((await ban(acme, `subject-${at}`, ms)).json.id))
    }
    expect(await marks()).toMatchObject({ 'open-bans': 5, 'ended-bans': 0 })
    await lift(acme, made[1] ?? '')
    await lift(acme, made[1] ?? '')
    expect(await marks()).toMatchObject({ 'open-bans': 4, 'ended-bans': 1 })
    passTime(2 * MINUTE_MS)
    expectStatus(await lift(acme, made[0] ?? ''), 200)
    await ban(acme, 'another')
    expect(await marks()).toMatchObject({ 'open-bans': 3, 'ended-bans': 3 })
    expect(await count('bans WHERE ended_at IS NULL')).toBe(3)
    passTime(40 * 24 * HOUR_MS)
    await runJobs('acme')
    expect(await marks()).toMatchObject({ 'open-bans': 0, 'ended-bans': 0 })
    expect(await count('bans')).toBe(0)
  })

  it(`A tenant that bans and lifts all day keeps ${MAX_ENDED_BANS} ended bans, the latest`, async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    const oldest = String((await ban(acme, 'ann')).json.id)
    await lift(acme, oldest)
    passTime(MINUTE_MS)
    const younger = String((await ban(acme, 'bob')).json.id)
    await lift(acme, younger)
    passTime(MINUTE_MS)
    await plantBans(MAX_ENDED_BANS)
    await tenantSql(
      'acme',
      `UPDATE bans SET lifted_at = ${Date.now()}, ended_at = ${Date.now()} WHERE ended_at IS NULL`,
    )
    await tenantSql('acme', "UPDATE marks SET value = 0 WHERE name = 'open-bans'")
    await tenantSql('acme', `UPDATE marks SET value = ${MAX_ENDED_BANS + 1} WHERE name = 'ended-bans'`)
    expectStatus(await ban(acme, 'cleo'), 201)
    expect(await tenantSql('acme', `SELECT id FROM bans WHERE id IN ('${oldest}', '${younger}')`)).toEqual([])
    expect(await count('bans')).toBe(MAX_ENDED_BANS - 1)
  })
})

describe('revocations', () => {
  const plant = (from: number, upTo: number, revoked: number) =>
    tenantSql(
      'acme',
      `INSERT INTO revocations (seq, id, selector, matched, revoked, created_at)
       WITH RECURSIVE n(i) AS (SELECT ${from} UNION ALL SELECT i + 1 FROM n WHERE i < ${upTo})
       SELECT i, 'planted-' || i, '{"all":true}', 1, ${revoked}, ${Date.now()} FROM n`,
    )

  it('From half of the cap a new revocation takes the place of the oldest that is done', async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    await plant(1, 1, 0)
    await plant(2, MAX_REVOCATIONS / 2, 1)
    await acme.revocation({ subject: 'ann' })
    expect(await count('revocations')).toBe(MAX_REVOCATIONS / 2)
    expect(await tenantSql('acme', 'SELECT seq FROM revocations ORDER BY seq LIMIT 2')).toEqual([
      { seq: 1 },
      { seq: 3 },
    ])
  })

  it(`A tenant has at most ${MAX_REVOCATIONS} revocations while the oldest are running`, async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    await plant(1, 20, 0)
    await plant(MAX_REVOCATIONS, MAX_REVOCATIONS, 1)
    const refused = await acme.post('/revocations', { subject: 'ann' })
    expectOutcome(refused, '409 conflict')
    expect(refused.json.detail).toContain(String(MAX_REVOCATIONS))
    await tenantSql('acme', 'UPDATE revocations SET revoked = matched WHERE seq <= 20')
    for (let times = 0; times < 20; times++) await acme.post('/revocations', { subject: 'ann' })
    await acme.revocation({ subject: 'ann' })
  })

  it('The number of credentials that revocations wait for is that of the rows, and has a cap', async () => {
    passTime(MINUTE_MS)
    const acme = await newIssuer()
    for (let times = 0; times < 3; times++) expectOutcome(await acme.generate({ customIdentifier: 'ann' }), '201')
    await acme.revocation({ subject: 'ann' })
    await acme.revocation({ subject: 'ann' })
    expect(await marks()).toMatchObject({ 'revocation-targets': await count('revocation_targets') })
    expect(await count('revocation_targets')).toBeGreaterThan(0)
    await runJobs('acme')
    expect(await marks()).toMatchObject({ 'revocation-targets': 0 })
    expect(await count('revocation_targets')).toBe(0)
    await tenantSql('acme', "UPDATE marks SET value = 1000000 WHERE name = 'revocation-targets'")
    expectOutcome(await acme.post('/revocations', { subject: 'ann' }), '409 conflict')
  })
})

it('A list of URLs that no credential can refer to any more is deleted, and the newest stays', async () => {
  passTime(MINUTE_MS)
  await newIssuer()
  const old = Date.now() - 10 * 24 * HOUR_MS
  await tenantSql(
    'acme',
    `INSERT INTO url_lists (id, urls, used_at) VALUES (-2, 'old', ${old}), (-1, 'young', ${Date.now()})`,
  )
  passTime(HOUR_MS)
  await runJobs('acme')
  expect(await tenantSql('acme', 'SELECT urls FROM url_lists ORDER BY id')).toEqual([{ urls: 'young' }])
})
