/** G3: ids, names, cursors and client tokens of another tenant, wherever a request may carry one. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { newId } from '../../src/crypto/ids.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newToken, newTurnKey } from '../support/broker/broker.ts'
import { DAY_MS } from '../support/broker/clock.ts'
import { bytesOf, outcomeOf, shown } from '../support/broker/contract.ts'
import { askIceServers, clientToken, generate, postForm, tenantPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { furnishAll, furnishDeleted, NOBODYS, SUBJECT } from '../support/contract/callers.ts'
import { tenantObjects } from '../support/storage/storage.ts'

/** Two tenants alike, a third that was deleted, and what the first deleted itself. */
async function neighbours() {
  const broker = newBroker()
  const gone = await furnishDeleted(broker, 'gone')
  const acme = await furnishAll(broker, 'acme')
  const other = await furnishAll(broker, 'other')
  const keyId = await newTurnKey(broker, acme)
  expectStatus(await broker.call('DELETE', keysPath('acme', keyId), acme.token), 200)
  const { tokenId } = await newToken(broker, 'acme', ['usage:read'])
  expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${tokenId}`), 204)
  await emulator.clearLog()
  const never = { ...NOBODYS, credentialId: 'cr_0000000000000000000001', subjectId: newId('su') }
  /** Ids of another tenant, of a deleted tenant, of the tenant's own deleted keys, and of no tenant. */
  const strangers = [other, gone, { ...never, keyId, tokenId }, never]
  return { broker, acme, other, strangers }
}

/** Answers that tell nothing apart but the ids that are in them anyway: new ones, and the one that was asked for. */
const alike = (answer: Answer, ...ids: string[]): string =>
  [...ids, answer.json?.id, answer.json?.createdAt].reduce<string>(
    (text, id) => (id === undefined ? text : text.replaceAll(String(id), '(id)')),
    bytesOf(answer),
  )

describe('G3: what another tenant has', () => {
  it('G3: An id of another tenant in a body is answered as one that never was', async () => {
    const { broker, acme, strangers } = await neighbours()
    const until = new Date(Date.now() + DAY_MS).toISOString()
    const wrong: string[] = []
    for (const token of [acme.token, env.ADMIN_TOKEN]) {
      const post = (path: string, body: object) => broker.call('POST', tenantPath('acme', path), token, body)
      for (const [what, expected, ask] of [
        [
          'keyId of a client token',
          '400 invalid_request',
          ({ keyId }) => [post('client-tokens', { subject: 'ann', keyId }), keyId],
        ],
        ['keyId of a revocation', '202', ({ keyId }) => [post('revocations', { keyId }), keyId]],
        [
          'credentialId of a revocation',
          '202',
          ({ credentialId }) => [post('revocations', { credentialId }), credentialId],
        ],
        ['tokenId of a ban', '404 not_found', ({ tokenId }) => [post('bans', { tokenId, until }), tokenId]],
      ] satisfies [string, string, (it: (typeof strangers)[number]) => [Promise<Answer>, string]][]) {
        const seen = new Set<string>()
        for (const stranger of strangers) {
          const [asked, id] = ask(stranger)
          const answer = await asked
          if (outcomeOf(answer) !== expected || (answer.json.matched ?? 0) > 0) wrong.push(`${what}: ${shown(answer)}`)
          seen.add(alike(answer, id))
        }
        if (seen.size !== 1) wrong.push(`${what}:\n${[...seen].join('\n\n')}`)
      }
    }
    expect(wrong).toEqual([])
    await expectUntouched(broker, 'other')
    expect(await emulator.log(), 'nothing went upstream').toEqual([])
  })

  it('G3: A list that is filtered by an id of another tenant is empty', async () => {
    const { broker, acme, other, strangers } = await neighbours()
    const wrong: string[] = []
    for (const stranger of strangers) {
      for (const query of [
        `credentials?subjectId=${stranger.subjectId}`,
        `credentials?keyId=${stranger.keyId}`,
        `audit-events?subjectId=${stranger.subjectId}`,
        `audit-events?target=${stranger.credentialId}`,
        `audit-events?actor=client-token:${stranger === other ? other.tokenId : NOBODYS.tokenId}`,
      ]) {
        const answer = await broker.call('GET', tenantPath('acme', query), acme.token)
        if (answer.text !== '{"items":[],"nextCursor":null}') wrong.push(`${query}: ${shown(answer)}`)
      }
    }
    for (const query of [`credentials?subjectId=${acme.subjectId}`, `audit-events?target=${acme.credentialId}`]) {
      const own = await broker.call('GET', tenantPath('acme', query), acme.token)
      if (own.json.items.length !== 1) wrong.push(`its own ${query}: ${shown(own)}`)
    }
    expect(wrong).toEqual([])
  })

  it('G3: Nothing of another tenant is in a list, a search or the audit trail', async () => {
    const { broker, acme, other } = await neighbours()
    await generate(broker, { uid: other.keyId, token: other.token }, { customIdentifier: 'only theirs' })
    const search = (subject: string) =>
      broker.call('POST', tenantPath('acme', 'subjects/search'), acme.token, { subject })
    expect(bytesOf(await search('only theirs'))).toBe(bytesOf(await search('nobody at all')))
    expect((await search(SUBJECT)).json).toEqual({ subjectId: acme.subjectId })
    expect(acme.subjectId, 'the same name is another subject elsewhere').not.toBe(other.subjectId)

    const theirs = [
      other.username,
      other.credentialId,
      other.subjectId,
      other.keyId,
      other.tokenId,
      other.banId,
      'other',
    ]
    for (const path of ['credentials', 'bans', 'audit-events?limit=100', '']) {
      const list = await broker.call('GET', tenantPath('acme', path).replace(/\/$/, ''), acme.token)
      expectStatus(list, 200)
      expect(
        theirs.filter((id) => list.text.includes(id)),
        path,
      ).toEqual([])
      expect(
        [...list.text.matchAll(/"(cr|su|bn)_/g)].length + Number(path === ''),
        `${path} lists its own`,
      ).toBeGreaterThan(0)
    }
  })

  it("G3: A cursor opens neither another tenant's list, nor another list or filter", async () => {
    const { broker, acme, other } = await neighbours()
    const wrong: string[] = []
    const lists = [
      'credentials',
      'bans',
      'audit-events',
      'audit-events?outcome=done',
      `credentials?keyId=${acme.keyId}`,
    ]
    const page = (it: typeof acme, list: string, cursor?: string) => {
      const query = `limit=1${cursor === undefined ? '' : `&cursor=${encodeURIComponent(cursor)}`}`
      return broker.call('GET', tenantPath(it.tenant, `${list}${list.includes('?') ? '&' : '?'}${query}`), it.token)
    }
    for (const it of [acme, other]) {
      await generate(broker, { uid: it.keyId, token: it.token })
      const until = new Date(Date.now() + DAY_MS).toISOString()
      expectStatus(await broker.call('POST', tenantPath(it.tenant, 'bans'), it.token, { subject: 'x', until }), 201)
    }
    for (const list of lists) {
      const { nextCursor: own } = (await page(acme, list)).json
      if ((await page(acme, list, own)).json.items?.length !== 1) wrong.push(`its own cursor of ${list}`)
      const seen = new Set<string>()
      const theirs = (await page(other, list.replace(acme.keyId, other.keyId))).json.nextCursor
      const elsewhere = (await page(acme, lists.find((one) => one !== list) ?? '')).json.nextCursor
      for (const cursor of [theirs, elsewhere, 'junk', '', 'A'.repeat(600), `${own}x`, own.slice(0, -2)]) {
        seen.add(bytesOf(await page(acme, list, cursor)))
      }
      if (seen.size !== 1 || ![...seen][0]?.startsWith('400\n')) wrong.push(`${list}:\n${[...seen].join('\n\n')}`)
    }
    expect(wrong).toEqual([])
  })
})

describe('G3: a client token', () => {
  it('G3: A client token of another tenant is answered like one at a tenant that never was', async () => {
    const { broker, acme, other } = await neighbours()
    expectStatus(await broker.admin('PATCH', '/tenants/other', { status: 'suspended' }), 200)
    await furnishAll(broker, 'active')
    await furnishAll(broker, 'leaving')
    expectStatus(await broker.admin('DELETE', '/tenants/leaving?cascade=true'), 202)
    const byOperator = await clientToken(broker, { ...acme, uid: acme.keyId, token: env.ADMIN_TOKEN })
    const ofKey = await clientToken(broker, { ...acme, uid: acme.keyId }, { keyId: acme.keyId })
    const objects = await tenantObjects()
    await emulator.clearLog()
    for (const token of [acme.clientToken, byOperator, ofKey, `${other.clientToken}x`, 'junk']) {
      const seen = new Set<string>()
      for (const tenant of ['other', 'active', 'leaving', 'gone', 'never-was', 'account']) {
        for (const edge of [broker, newBroker()]) {
          seen.add(bytesOf(await askIceServers(edge, tenant, token)))
          seen.add(bytesOf(await postForm(edge, tenant, { access_token: token, ttl: '60' })))
        }
      }
      expect([...seen]).toEqual([expect.stringMatching(/^401\n[\s\S]*"invalid_token"/)])
    }
    expect(await tenantObjects()).toEqual(objects)
    expect(await emulator.log(), 'nothing went upstream').toEqual([])
  })
})

/** What the tenant handed out is live, and its tokens are not banned. */
async function expectUntouched(broker: Broker, id: string): Promise<void> {
  const list = await broker.call('GET', tenantPath(id, 'credentials'), env.ADMIN_TOKEN)
  expect(list.json.items, shown(list)).toHaveLength(1)
  const bans = await broker.call('GET', tenantPath(id, 'bans'), env.ADMIN_TOKEN)
  expect(bans.json.items, shown(bans)).toMatchObject([{ tokenId: null }])
}
