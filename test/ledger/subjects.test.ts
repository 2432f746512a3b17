/** Subjects and what they hold: found, listed, and erased so that nothing readable is left. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newToken, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import {
  APP,
  askIceServers,
  auditOf,
  clientToken,
  expectProblem,
  generate,
  type Served,
  served,
  tenantPath,
} from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { everythingStored, runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'

const ALICE = 'alice.liddell@example.org'

async function acmeServed(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy })
  const get = (rest: string, { id, token }: { id: string; token: string } = acme) =>
    broker.call('GET', tenantPath(id, rest), token)
  const search = (subject: unknown, { id, token }: { id: string; token: string } = acme) =>
    broker.call('POST', tenantPath(id, 'subjects/search'), token, { subject })
  const erase = (subjectId: string, { id, token }: { id: string; token: string } = acme) =>
    broker.call('DELETE', tenantPath(id, `subjects/${subjectId}`), token)
  const idOf = async (subject: string) => String((await search(subject)).json.subjectId)
  return { broker, acme, get, search, erase, idOf }
}

describe('live credentials', () => {
  it('Live credentials are listed newest first, by subject and key, and never with a password', async () => {
    const { broker, acme, get, idOf } = await acmeServed()
    const second = await newTurnKey(broker, acme, 'second')
    const token = await clientToken(broker, acme, { subject: ALICE })
    expectStatus(await askIceServers(broker, 'acme', token, { origin: APP }), 201)
    await generate(broker, acme, { customIdentifier: 'bob', ttl: 60 })
    await generate(broker, { uid: second, token: acme.token }, { customIdentifier: ALICE })
    await generate(broker, acme)
    const alice = await idOf(ALICE)

    const all = await get('credentials')
    expectStatus(all, 200)
    const [withoutSubject, onSecond, bobs, browsers] = all.json.items
    expect(browsers).toEqual({
      id: expect.stringMatching(/^cr_[0-9A-Za-z]{10}[0-9]{12}$/),
      subjectId: alice,
      keyId: acme.uid,
      username: expect.any(String),
      issuedAt: expect.any(String),
      expiresAt: expect.any(String),
      origin: APP,
    })
    expect(Date.parse(browsers.expiresAt) - Date.parse(browsers.issuedAt)).toBe(3_600_000)
    expect([withoutSubject.subjectId, onSecond.subjectId, onSecond.keyId]).toEqual([null, alice, second])
    const listed = async (query: string) =>
      (await get(`credentials?${query}`)).json.items.map(({ id }: { id: string }) => id)
    expect(await listed(`subjectId=${alice}`)).toEqual([onSecond.id, browsers.id])
    expect(await listed(`keyId=${second}`)).toEqual([onSecond.id])
    expect(await listed(`keyId=${acme.uid}&subjectId=${alice}`)).toEqual([browsers.id])
    expect(await listed(`subjectId=su_${'0'.repeat(22)}`)).toEqual([])
    expect(await listed(`keyId=${'f'.repeat(32)}`)).toEqual([])
    for (const { credential } of (await emulator.secrets()).credentials) expect(all.text).not.toContain(credential)

    // Revoked and expired credentials are not listed.
    expectStatus(
      await broker.call('POST', tenantPath('acme', 'revocations'), acme.token, { credentialId: onSecond.id }),
      202,
    )
    passTime(MINUTE_MS)
    expect(await listed('limit=100')).toEqual([withoutSubject.id, browsers.id])
    expect(bobs.username).toBeDefined()
  })

  it('Live credentials are read in pages whose cursors open for the same filter of the same tenant only', async () => {
    const { broker, acme, get } = await acmeServed()
    const globex = await served(broker, 'globex')
    for (let n = 0; n < 5; n++) await generate(broker, acme)
    const first = await get('credentials?limit=2')
    const next = await get(`credentials?limit=2&cursor=${first.json.nextCursor}`)
    const last = await get(`credentials?limit=2&cursor=${next.json.nextCursor}`)
    const pages = [first, next, last].map(({ json }) => json.items.length)
    expect([pages, last.json.nextCursor]).toEqual([[2, 2, 1], null])
    const ids = [first, next, last].flatMap(({ json }) => json.items.map(({ id }: { id: string }) => id))
    expect(ids).toEqual((await get('credentials')).json.items.map(({ id }: { id: string }) => id))
    const cursor = first.json.nextCursor
    for (const rest of [
      `credentials?keyId=${acme.uid}&cursor=${cursor}`,
      `audit-events?cursor=${cursor}`,
      `bans?cursor=${cursor}`,
    ])
      expectProblem(await get(rest), 'invalid_request')
    expectProblem(await get(`credentials?cursor=${cursor}`, globex), 'invalid_request')
    for (const query of ['subjectId=x', 'subjectId=', `keyId=x`, `subjectId=${ALICE}`, 'limit=0'])
      expectProblem(await get(`credentials?${query}`), 'invalid_request')
    const other = await newToken(broker, 'acme', ['credentials:revoke', 'credentials:issue'])
    expectProblem(await get('credentials', { id: 'acme', ...other }), 'insufficient_scope')
  })
})

describe('a subject', () => {
  it('A subject is found by its exact name, which appears in no URL', async () => {
    const { broker, acme, search } = await acmeServed()
    const globex = await served(broker, 'globex')
    await generate(broker, acme, { customIdentifier: ALICE })
    const found = await search(ALICE)
    expectStatus(found, 200)
    expect(found.json).toEqual({ subjectId: expect.stringMatching(/^su_[0-9A-Za-z]{22}$/) })
    for (const name of [ALICE.toUpperCase(), ` ${ALICE}`, 'alice', '%', `${ALICE}\u200d`, "' OR 1=1 --"])
      expectProblem(await search(name), 'not_found')
    expectProblem(await search(ALICE, globex), 'not_found')
    for (const name of ['', 'x'.repeat(129), '\u0000', 1, null, [ALICE]])
      expectProblem(await search(name), 'invalid_request')
    const other = await newToken(broker, 'acme', ['credentials:revoke'])
    expectProblem(await search(ALICE, { id: 'acme', ...other }), 'insufficient_scope')
    expect((await emulator.log()).some(({ path }) => path.includes('alice'))).toBe(false)
  })

  it('An erased subject leaves nothing readable: row gone, audit trail whole, credentials revoked', async () => {
    const { broker, acme, search, erase, idOf } = await acmeServed({ reuse: false })
    const token = await clientToken(broker, acme, { subject: ALICE })
    for (let n = 0; n < 2; n++) expectStatus(await askIceServers(broker, 'acme', token, { origin: APP }), 201)
    await generate(broker, acme, { customIdentifier: 'bob' })
    expectProblem(await askIceServers(broker, 'acme', token, { body: { ttl: 100_000 } }), 'ttl_too_long')
    const banUntil = new Date(Date.now() + MINUTE_MS).toISOString()
    const revocation = { subject: ALICE, banUntil }
    expectStatus(
      await broker.call('POST', tenantPath('acme', 'revocations'), acme.token, revocation, {
        'idempotency-key': 'once',
      }),
      202,
    )
    expect(await everythingStored()).toContain(ALICE)
    const [alice, before] = [await idOf(ALICE), await auditOf(broker, 'acme')]
    const subjectsBefore = await tenantSql('acme', 'SELECT id FROM subjects')

    const answer = await erase(alice)
    expectStatus(answer, 204)
    expect(await everythingStored()).not.toMatch(/alice/i)
    expect(await tenantSql('acme', 'SELECT id FROM subjects')).toEqual(subjectsBefore.filter(({ id }) => id !== alice))
    expectProblem(await search(ALICE), 'not_found')

    // The audit trail keeps every event, and has one more.
    const after = await auditOf(broker, 'acme', '')
    const kept = after.filter(({ seq }) => before.some((each) => each.seq === seq))
    expect(kept.map(({ seq }) => seq)).toEqual(before.map(({ seq }) => seq))
    expect(await auditOf(broker, 'acme', '&action=subject.erase')).toMatchObject([
      {
        actor: `api-token:${acme.tokenId}`,
        target: alice,
        subjectId: alice,
        outcome: 'done',
        requestId: answer.headers.get('x-request-id'),
      },
    ])
    const seqs = after.map(({ seq }) => seq)
    expect(seqs).toEqual(seqs.map((_, n) => Number(seqs[0]) - n))

    // Alice's credentials are revoked upstream; bob keeps his.
    await until("alice's credentials are revoked upstream", async () => {
      await runJobs('acme')
      const { credentials } = await emulator.state()
      return credentials.filter(({ customIdentifier }) => customIdentifier === alice).every(({ revoked }) => revoked)
    })
    expect((await emulator.state()).credentials.filter(({ revoked }) => !revoked)).toHaveLength(1)
    expect((await emulator.log()).some(({ body }) => JSON.stringify(body ?? null).includes('alice'))).toBe(false)

    // A later request under the same name creates a new subject.
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    expect(await idOf(ALICE)).not.toBe(alice)
  })

  it('A subject that is unknown, of another tenant or erased already cannot be erased', async () => {
    const { broker, acme, erase, idOf } = await acmeServed()
    const globex = await served(broker, 'globex')
    await generate(broker, acme, { customIdentifier: ALICE })
    const alice = await idOf(ALICE)
    for (const id of [`su_${'0'.repeat(22)}`, ALICE, 'x', '%00', `${alice}x`, `cr_${'0'.repeat(22)}`])
      expect(outcomeOf(await erase(id))).toBe('404 not_found')
    expectProblem(await erase(alice, globex), 'not_found')
    const foreign: Served = { ...globex, id: 'acme' }
    expectProblem(await erase(alice, foreign), 'not_found')
    const other = await newToken(broker, 'acme', ['credentials:read', 'credentials:issue'])
    expectProblem(await erase(alice, { id: 'acme', ...other }), 'insufficient_scope')
    expect(await idOf(ALICE)).toBe(alice)
    expectStatus(await erase(alice, { id: 'acme', token: env.ADMIN_TOKEN }), 204)
    expectProblem(await erase(alice), 'not_found')
  })
})
