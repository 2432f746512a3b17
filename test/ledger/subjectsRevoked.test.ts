/** Revocations and bans as resources: what can be selected, what they report, and for how long. */

import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newToken } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  askIceServers,
  auditOf,
  clientToken,
  expectProblem,
  generate,
  served,
  tenantPath,
} from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'

const DAY_MS = 24 * HOUR_MS
const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()

async function acmeServed() {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy: { reuse: false } })
  const post = (rest: string, body?: unknown, { id, token }: { id: string; token: string } = acme, headers = {}) =>
    broker.call('POST', tenantPath(id, rest), token, body, headers)
  const get = (rest: string, { id, token }: { id: string; token: string } = acme) =>
    broker.call('GET', tenantPath(id, rest), token)
  const finished = (id: string) =>
    until('the revocation is done', async () => (await get(`revocations/${id}`)).json.state === 'done')
  return { broker, acme, post, get, finished }
}

describe('a revocation', () => {
  it('A revocation selects a subject, a TURN key, a credential or all, and reports its progress', async () => {
    const { broker, acme, post, get, finished } = await acmeServed()
    await generate(broker, acme, { customIdentifier: 'alice' })
    await generate(broker, acme, { customIdentifier: 'alice' })
    await generate(broker, acme, { customIdentifier: 'bob' })
    await generate(broker, acme)
    const { json: bobs } = await get('credentials?limit=2')
    const credentialId = bobs.items[1].id
    const { json: alice } = await post('subjects/search', { subject: 'alice' })
    const rows = [
      [{ subject: 'alice' }, { subjectId: alice.subjectId }, 2],
      [{ subject: 'alice' }, { subjectId: alice.subjectId }, 0],
      [{ subject: 'nobody' }, { subjectId: null }, 0],
      [{ credentialId }, { credentialId }, 1],
      [{ credentialId: `cr_${'0'.repeat(22)}` }, { credentialId: `cr_${'0'.repeat(22)}` }, 0],
      [{ keyId: acme.uid }, { keyId: acme.uid }, 1],
      [{ keyId: 'f'.repeat(32) }, { keyId: 'f'.repeat(32) }, 0],
      [{ all: true }, { all: true }, 0],
    ] as const
    for (const [input, selector, matched] of rows) {
      const answer = await post('revocations', input)
      expectStatus(answer, 202)
      const { id, pending, revoked, ...rest } = answer.json
      expect(rest).toEqual({
        selector,
        matched,
        expired: 0,
        state: pending > 0 ? 'running' : 'done',
        createdAt: expect.any(String),
      })
      expect([id, pending + revoked]).toEqual([expect.stringMatching(/^rv_[0-9A-Za-z]{22}$/), matched])
      await finished(id)
      expect((await get(`revocations/${id}`)).json).toEqual({
        ...rest,
        id,
        pending: 0,
        revoked: matched,
        state: 'done',
      })
    }
    expect((await emulator.state()).credentials.map(({ revoked }) => revoked)).toEqual([true, true, true, true])
    expect((await get('credentials')).json.items).toEqual([])
    expect(await auditOf(broker, 'acme', '&action=revocation.create')).toHaveLength(rows.length)
  })

  it('A revocation with no selector, two selectors, a malformed one or an unknown field is a 400', async () => {
    const { acme, post, get } = await acmeServed()
    const until_ = inMs(HOUR_MS)
    const bodies = [
      {},
      { all: false },
      { all: 'true' },
      { all: true, subject: 'alice' },
      { subject: 'alice', keyId: acme.uid },
      { credentialId: `cr_${'0'.repeat(22)}`, all: true },
      { subject: '' },
      { subject: null },
      { subject: 'x'.repeat(129) },
      { keyId: 'x' },
      { credentialId: 'x' },
      { subjectId: `su_${'0'.repeat(22)}` },
      { all: true, reason: 'x' },
      { all: true, banUntil: until_ },
      { keyId: acme.uid, banUntil: until_ },
      { banUntil: until_ },
      { subject: 'alice', banUntil: inMs(-1_000) },
      { subject: 'alice', banUntil: 'tomorrow' },
      { subject: 'alice', banUntil: 1e12 },
    ]
    const wrong: string[] = []
    for (const body of bodies) {
      const answer = await post('revocations', body)
      if (outcomeOf(answer) !== '400 invalid_request') wrong.push(`${JSON.stringify(body)}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
    expect(await tenantSql('acme', 'SELECT * FROM revocations')).toEqual([])
    expect((await get('bans')).json.items).toEqual([])
  })

  it('A revocation with banUntil also bans its subject at once', async () => {
    const { broker, acme, post, get } = await acmeServed()
    const token = await clientToken(broker, acme)
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    const banUntil = inMs(HOUR_MS)
    expect((await post('revocations', { subject: 'alice', banUntil })).json).toMatchObject({ matched: 1 })
    expectProblem(await askIceServers(broker, 'acme', token), 'subject_banned')
    expect((await get('bans')).json.items).toMatchObject([{ until: banUntil, tokenId: null, liftedAt: null }])
    passTime(HOUR_MS)
    const later = await clientToken(broker, acme)
    expectStatus(await askIceServers(broker, 'acme', later), 201)
  })

  it('A revocation is found by its id for 30 days, by its tenant only', async () => {
    const { broker, post, get } = await acmeServed()
    const globex = await served(broker, 'globex')
    const created = await post('revocations', { all: true })
    const { id } = created.json
    expect((await get(`revocations/${id}`)).json).toEqual(created.json)
    for (const unknown of [`rv_${'0'.repeat(22)}`, 'x', '%00', `bn_${'0'.repeat(22)}`, id.toLowerCase()])
      expectProblem(await get(`revocations/${unknown}`), 'not_found')
    expectProblem(await get(`revocations/${id}`, globex), 'not_found')
    expectProblem(await get(`revocations/${id}`, { ...globex, id: 'acme' }), 'not_found')
    const other = await newToken(broker, 'acme', ['credentials:read', 'credentials:issue'])
    expectProblem(await post('revocations', { all: true }, { id: 'acme', ...other }), 'insufficient_scope')

    // The pruning job removes the revocation; the job exists once a credential was issued.
    const { token } = await newToken(broker, 'acme', ['credentials:issue'])
    expectStatus(await broker.call('GET', tenantPath('acme', 'turn-rest?service=turn'), token), 200)
    passTime(30 * DAY_MS - MINUTE_MS)
    await runJobs('acme')
    expectStatus(await get(`revocations/${id}`), 200)
    passTime(2 * HOUR_MS)
    await runJobs('acme')
    expectProblem(await get(`revocations/${id}`), 'not_found')
  })

  it('A revocation repeated with the same Idempotency-Key is the same revocation', async () => {
    const { broker, acme, post } = await acmeServed()
    await generate(broker, acme)
    const once = { 'idempotency-key': 'k' }
    const first = await post('revocations', { all: true }, acme, once)
    const again = await post('revocations', { all: true }, acme, once)
    expect([first.status, again.status, again.json.id, again.json.matched]).toEqual([202, 202, first.json.id, 1])
    expectProblem(await post('revocations', { subject: 'alice' }, acme, once), 'idempotency_mismatch')
    expect((await post('revocations', { all: true })).json.id).not.toBe(first.json.id)
  })
})

describe('a ban', () => {
  it('A ban of a subject or an API token refuses mints until it ends or is lifted', async () => {
    const { broker, acme, post, get } = await acmeServed()
    const maker = await newToken(broker, 'acme', ['client_tokens:create', 'credentials:issue'])
    const [alice, bob] = [
      await clientToken(broker, acme),
      await clientToken(broker, { ...acme, ...maker }, { subject: 'bob' }),
    ]
    const until_ = inMs(5 * MINUTE_MS)
    const subjectBan = await post('bans', { subject: 'alice', until: until_ })
    const tokenBan = await post('bans', { tokenId: maker.tokenId, until: until_ })
    for (const answer of [subjectBan, tokenBan]) expectStatus(answer, 201)
    expect(subjectBan.json).toEqual({
      id: expect.stringMatching(/^bn_/),
      subjectId: expect.stringMatching(/^su_/),
      tokenId: null,
      until: until_,
      createdAt: expect.any(String),
      liftedAt: null,
    })
    expect(tokenBan.json).toMatchObject({ subjectId: null, tokenId: maker.tokenId })
    for (const token of [alice, bob]) expectProblem(await askIceServers(broker, 'acme', token), 'subject_banned')
    expect(outcomeOf(await broker.call('GET', tenantPath('acme', 'turn-rest?service=turn'), maker.token))).toBe(
      '403 subject_banned',
    )

    const listed = (await get('bans')).json
    expect(listed).toEqual({ items: [tokenBan.json, subjectBan.json], nextCursor: null })
    const lifted = await post(`bans/${subjectBan.json.id}/lift`)
    expectStatus(lifted, 200)
    expect(lifted.json).toEqual({ ...subjectBan.json, liftedAt: expect.any(String) })
    passTime(MINUTE_MS)
    expect((await post(`bans/${subjectBan.json.id}/lift`)).json).toEqual(lifted.json)
    expect(await auditOf(broker, 'acme', '&action=ban.lift')).toHaveLength(1)
    expectStatus(await askIceServers(broker, 'acme', alice), 201)
    expectProblem(await askIceServers(broker, 'acme', bob), 'subject_banned')
    passTime(4 * MINUTE_MS)
    expectStatus(await askIceServers(broker, 'acme', bob), 201)
  })

  it('A ban of no target, of two, of an unknown token or with an end in the past is refused', async () => {
    const { broker, acme, post, get } = await acmeServed()
    const globex = await served(broker, 'globex')
    const until_ = inMs(HOUR_MS)
    const bodies = [
      { until: until_ },
      { subject: 'a' },
      { subject: 'a', tokenId: acme.tokenId, until: until_ },
      { subject: 'a', until: inMs(-1) },
      { subject: 'a', until: inMs(0) },
    ]
    const strange = [
      { subject: '', until: until_ },
      { tokenId: 'x', until: until_ },
      { tokenId: 'operator', until: until_ },
      { subject: 'a', until: '2099-01-01' },
      { subject: 'a', until: null },
      { subject: 'a', until: until_, x: 1 },
    ]
    for (const body of [...bodies, ...strange])
      expect(outcomeOf(await post('bans', body)), JSON.stringify(body)).toBe('400 invalid_request')
    for (const tokenId of ['0'.repeat(12), globex.tokenId])
      expectProblem(await post('bans', { tokenId, until: until_ }), 'not_found')
    expect((await get('bans')).json.items).toEqual([])
    for (const id of [`bn_${'0'.repeat(22)}`, 'x', `rv_${'0'.repeat(22)}`])
      expectProblem(await post(`bans/${id}/lift`), 'not_found')
    const theirs = await post('bans', { subject: 'alice', until: until_ }, globex)
    expectProblem(await post(`bans/${theirs.json.id}/lift`), 'not_found')
    const other = await newToken(broker, 'acme', ['credentials:read'])
    expectProblem(await post('bans', { subject: 'a', until: until_ }, { id: 'acme', ...other }), 'insufficient_scope')
    expectProblem(await get('bans', { id: 'acme', ...other }), 'insufficient_scope')
  })
})
