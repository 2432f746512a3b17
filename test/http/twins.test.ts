/** Cloudflare's credential calls at the broker: the same paths, statuses and shapes, and a credential of ours behind them. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, keysPath, newBroker, newToken, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { credentialsPath, generate, revokePath, served } from '../support/broker/doors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { leakedCheckToken } from '../support/secrets/apiTokens.ts'
import { runJobs } from '../support/storage/storage.ts'

const NEVER_WAS = 'f'.repeat(32)

async function acmeServed(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy })
  const post = (rest: string, body?: unknown, { uid, token }: { uid: string; token: string } = acme) =>
    broker.call('POST', credentialsPath(uid, rest), token, body)
  return { broker, acme, post }
}

/** An answer without what differs between any two. */
const alike = ({ status, text, headers }: Answer) => [
  status,
  text,
  [...headers].filter(([name]) => name !== 'x-request-id'),
]

describe('generate-ice-servers', () => {
  it('Generate-ice-servers answers 201 with a list: one entry of STUN, one of TURN with the login', async () => {
    const { post } = await acmeServed()
    const answer = await post('generate-ice-servers', { ttl: 3_600, customIdentifier: 'alice' })
    expectStatus(answer, 201)
    const credential = (await emulator.secrets()).credentials.at(-1)
    expect(answer.json).toEqual({
      iceServers: [
        { urls: ['stun:stun.cloudflare.com:3478'] },
        {
          urls: [
            'turn:turn.cloudflare.com:3478?transport=udp',
            'turn:turn.cloudflare.com:3478?transport=tcp',
            'turns:turn.cloudflare.com:443?transport=tcp',
          ],
          ...credential,
        },
      ],
    })
    expect(answer.headers.get('cache-control')).toBe('no-store')
    const [asked] = await emulator.log('generate-ice-servers')
    expect(asked?.body).toEqual({ ttl: 3_600, customIdentifier: expect.stringMatching(/^su_[0-9A-Za-z]{22}$/) })
  })
})

describe('generate', () => {
  it('Generate answers 201 with one object that holds everything', async () => {
    const { post } = await acmeServed()
    const answer = await post('generate', { ttl: 60 })
    expectStatus(answer, 201)
    expect(Object.keys(answer.json)).toEqual(['iceServers'])
    const { urls, ...login } = answer.json.iceServers
    expect(urls).toHaveLength(4)
    expect((await emulator.secrets()).credentials.at(-1)).toEqual(login)
  })
})

describe('both', () => {
  it('Both ignore unknown fields, as Cloudflare does, and give every call a credential of its own', async () => {
    const { post } = await acmeServed()
    const usernames = new Set<string>()
    for (const body of [
      {},
      { ttl: 60, extra: 1, subject: 'bob' },
      { customIdentifier: 'a', key: 'x' },
      { customIdentifier: 'a' },
    ]) {
      const answers = [await post('generate', body), await post('generate-ice-servers', body)]
      for (const answer of answers) expectStatus(answer, 201)
      usernames.add(answers[0]?.json.iceServers.username).add(answers[1]?.json.iceServers[1].username)
    }
    expect(usernames.size).toBe(8)
  })

  it('Both refuse a ttl or an identifier of another kind, before anything is asked upstream', async () => {
    const { post } = await acmeServed()
    const ttls = ['"86400"', '0', '-1', '1.5', '172801', '1e9', '1e999', 'null', '[600]', 'true'].map(
      (ttl) => `{"ttl":${ttl}}`,
    )
    const names = ['""', '1', 'null', '[]', '"\\u0000"', '"\\ud800"', JSON.stringify('x'.repeat(129))].map(
      (name) => `{"customIdentifier":${name}}`,
    )
    const wrong: string[] = []
    for (const rest of ['generate', 'generate-ice-servers']) {
      for (const body of [...ttls, ...names, ' ', '[]', 'null', '{"ttl":60,"ttl":60}']) {
        const answer = await post(rest, body)
        if (outcomeOf(answer) !== '400 31001' || answer.json.success !== false)
          wrong.push(`${rest} ${body}: ${shown(answer)}`)
      }
      const tooLong = await post(rest, { ttl: 86_401 })
      if (outcomeOf(tooLong) !== '400 31002' || !tooLong.text.includes('86400')) wrong.push(shown(tooLong))
    }
    expect(wrong).toEqual([])
    expect(await emulator.log('generate-ice-servers')).toEqual([])
  })
})

describe('a TURN key in the path', () => {
  /** The three calls, at one key. */
  const calls = (ask: (path: string) => Promise<Answer>, uid: string, username: string) =>
    Promise.all([
      ask(credentialsPath(uid, 'generate')),
      ask(credentialsPath(uid, 'generate-ice-servers')),
      ask(revokePath(uid, username)),
    ])

  it('A TURN key in the path that is foreign, deleted, no key at all or never was: 404 with code 20008, byte by byte alike', async () => {
    const { broker, acme } = await acmeServed()
    const globex = await served(broker, 'globex')
    const deleted = await newTurnKey(broker, acme, 'second')
    const { username } = await generate(broker, acme)
    const theirs = await generate(broker, globex)
    const gone = await generate(broker, { uid: deleted, token: acme.token })
    expectStatus(await broker.call('DELETE', keysPath('acme', deleted), acme.token), 200)
    const asked = (await emulator.log()).length

    for (const token of [acme.token, env.ADMIN_TOKEN]) {
      const ask = (path: string) => broker.call('POST', path, token, {})
      const expected = (await calls(ask, NEVER_WAS, username)).map(alike)
      expect(JSON.stringify(expected).match(/20008/g)).toHaveLength(3)
      const same =
        token === acme.token
          ? [globex.uid, deleted, 'x', 'f'.repeat(33), '%2e%2e%2f', `${acme.uid}%2F`]
          : [deleted, 'x']
      for (const uid of same) {
        for (const name of [username, theirs.username, gone.username]) {
          expect((await calls(ask, uid, name)).map(alike), uid).toEqual(expected)
        }
      }
    }
    expect((await emulator.log()).length).toBe(asked)
  })

  it('A TURN key in the path asks for a scope each, which no other gives', async () => {
    const { broker, acme } = await acmeServed()
    const { username } = await generate(broker, acme)
    const rows = [
      ['credentials:issue', credentialsPath(acme.uid, 'generate')],
      ['credentials:issue', credentialsPath(acme.uid, 'generate-ice-servers')],
      ['credentials:issue', '/v1/tenants/acme/turn-rest?service=turn'],
      ['credentials:revoke', revokePath(acme.uid, username)],
    ] as const
    for (const [scope, path] of rows) {
      const method = path.includes('turn-rest') ? 'GET' : 'POST'
      const body = method === 'GET' ? undefined : {}
      const all = await newToken(
        broker,
        'acme',
        SCOPES.filter((each) => each !== scope),
      )
      const one = await newToken(broker, 'acme', [scope])
      const refused = await broker.call(method, path, all.token, body)
      expect(outcomeOf(refused), path).toMatch(/^403 (10000|insufficient_scope)$/)
      const { status } = await broker.call(method, path, one.token, body)
      expect([200, 201, 204], path).toContain(status)
    }
  })

  it('A TURN key in the path is one of any tenant for an operator', async () => {
    const { broker, acme } = await acmeServed()
    const { username } = await generate(broker, { ...acme, token: env.ADMIN_TOKEN })
    expectStatus(await broker.call('POST', revokePath(acme.uid, username), env.ADMIN_TOKEN), 204)
  })

  it('A TURN key in the path shows the state of a tenant to no caller without a token of it', async () => {
    const { broker, acme, post } = await acmeServed()
    const forged = await leakedCheckToken('acme', acme.tokenId)
    const active = await post('generate', {}, { uid: acme.uid, token: forged })
    expect(outcomeOf(active)).toBe('401 10000')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    const another = await leakedCheckToken('acme', acme.tokenId)
    expect(alike(await post('generate', {}, { uid: acme.uid, token: another }))).toEqual(alike(active))
    const reader = await newToken(broker, 'acme', ['turn_keys:read'])
    expect(outcomeOf(await post('generate', {}, { uid: acme.uid, token: reader.token }))).toBe('403 10000')
    expect(outcomeOf(await post('generate', {}))).toBe('403 31004')
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it('A TURN key in the path of a tenant that was deleted opens to its tokens no more than one that never was', async () => {
    const { broker, acme, post } = await acmeServed()
    const token = await leakedCheckToken('never-was', acme.tokenId)
    const expected = alike(await post('generate', {}, { uid: acme.uid, token }))
    expect(expected[0]).toBe(401)
    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    expect(alike(await post('generate', {}))).toEqual(expected)
    await until('the tenant is gone', async () => {
      passTime(MINUTE_MS)
      await runJobs('acme')
      return (await broker.admin('GET', '/tenants/acme')).status === 404
    })
    for (const edge of [broker, newBroker()]) {
      const paths = [
        credentialsPath(acme.uid, 'generate'),
        credentialsPath(acme.uid, 'generate-ice-servers'),
        revokePath(acme.uid, 'x'),
      ]
      for (const path of paths) expect(alike(await edge.call('POST', path, acme.token, {}))).toEqual(expected)
      expect(outcomeOf(await edge.call('GET', '/v1/tenants/acme/turn-rest?service=turn', acme.token))).toBe(
        '401 invalid_token',
      )
    }
  })
})
