/** G2: ICE passwords, client tokens and the names of subjects are where they are needed, and nowhere else. */
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { APP, credentialsPath, tenantPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { basic } from '../support/contract/callers.ts'
import { leaks, type Secret } from '../support/secrets/secrets.ts'
import { FAULTS, leaksIn, recorded, STANDING, watchLogs } from '../support/secrets/secretWatch.ts'
import { everythingStored, runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { credentialRows } from '../support/tenants/issuing.ts'

const SUBJECTS = ['canary.ann@people.test', 'canary.bob@people.test', 'canary.eve@people.test'] as const
const NAMES: Secret[] = SUBJECTS.map((value) => ({ name: "a subject's name", value }))
const [ANN, BOB, EVE] = SUBJECTS
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const revokePath = (uid: string, username: string) => credentialsPath(uid, `${encodeURIComponent(username)}/revoke`)

/** A tenant's doors; every answer is kept. */
async function doors() {
  const setUp = newBroker()
  const policy = { allowedOrigins: [APP], maxTurnKeys: 10, maxLiveCredentialsPerSubject: 1_000 }
  const { token } = await newTenant(setUp, 'acme', { scopes: [...SCOPES], policy })
  const uid = await newTurnKey(setUp, { id: 'acme', token })
  const made: Secret[] = [{ name: 'an API token', value: token }]
  /** Passwords by whom they were shown to. */
  const shown: [password: string, subject: string][] = []
  const { call, make, answers } = recorded(setUp)

  const note = (subject: string, answer: Answer): Answer => {
    for (const password of answers.at(-1)?.mayShow ?? []) shown.push([password, subject])
    return answer
  }
  const at = (path: string) => tenantPath('acme', path)
  async function clientToken(subject: string, more: object = {}): Promise<string> {
    const { json } = await make('POST', at('client-tokens'), token, { subject, ttl: 3_600, ...more })
    const value = String(json.token)
    made.push(
      { name: 'a client token', value },
      { name: "a client token's signature", value: `${value.split('.')[2]}` },
    )
    return value
  }
  const ice = async (subject: string, bearer: string, body?: unknown, headers = {}) =>
    note(subject, await make('POST', at('ice-servers'), bearer, body, headers))
  const form = async (subject: string, bearer: string) =>
    note(subject, await make('POST', at('ice-servers'), undefined, `access_token=${bearer}`, FORM))
  const generate = async (subject: string, rest: string) =>
    note(subject, await make('POST', credentialsPath(uid, rest), token, { customIdentifier: subject }))
  const turnRest = async (subject: string) =>
    note(subject, await make('GET', at(`turn-rest?service=turn&username=${subject}`), token))
  const post = (path: string, body: object, bearer = token) => call('POST', at(path), bearer, body)
  const get = (path: string, bearer = token) => call('GET', at(path), bearer)
  return { call, make, answers, made, shown, token, uid, clientToken, ice, form, generate, turnRest, post, get }
}
type Doors = Awaited<ReturnType<typeof doors>>

/** Every door that hands out, reads or takes back. */
async function ordinaryLife({ call, uid, token, clientToken, ice, form, generate, turnRest, post, get }: Doors) {
  const tokens: Record<string, string> = {}
  for (const subject of SUBJECTS) {
    const bearer = await clientToken(subject)
    tokens[subject] = bearer
    await ice(subject, bearer)
    await ice(subject, bearer, { ttl: 3_600 }, { origin: APP })
    await form(subject, bearer)
    await ice(subject, bearer, { ttl: 172_800 })
    await ice(subject, bearer, undefined, { origin: 'https://evil.test' })
    await generate(subject, 'generate')
    await generate(subject, 'generate-ice-servers')
    await turnRest(subject)
    await post('subjects/search', { subject })
  }
  for (const list of ['credentials', 'bans', 'audit-events?limit=100', 'audit-events?limit=5']) await get(list)
  await post('revocations', { subject: ANN })
  const until = new Date(Date.now() + 600_000).toISOString()
  await post('revocations', { subject: BOB, banUntil: until })
  await post('bans', { subject: EVE, until })
  for (const subject of SUBJECTS) await ice(subject, `${tokens[subject]}`)
  const { json: found } = await post('subjects/search', { subject: EVE })
  await generate(EVE, 'generate')
  await get('credentials')
  const [{ username } = { username: '' }] = await credentialRows()
  await call('POST', revokePath(uid, String(username)), token)
  await call('DELETE', tenantPath('acme', `subjects/${found.subjectId}`), token)
  await get('audit-events?limit=100')
}

/** Where they do not belong: other doors, queries, cookies, paths, bodies that are refused. */
async function misplaced({ call, make, uid, token, clientToken, ice, generate, post, get }: Doors) {
  const bearer = await clientToken(ANN)
  const { json } = await ice(ANN, bearer)
  const password = String(json.iceServers.at(-1).credential)
  await generate(ANN, 'generate')
  for (const secret of [bearer, password, ANN]) {
    for (const path of ['ice-servers', 'client-tokens', 'revocations', 'bans', 'subjects/search']) {
      await post(path, { subject: `\u0000${secret}`, [secret]: secret })
      await call('POST', tenantPath('acme', path), token, `{"subject":"${secret}`)
      await call('POST', tenantPath('acme', `${path}?access_token=${secret}`), undefined, undefined, { cookie: secret })
    }
    for (const query of ['cursor', 'limit', 'subjectId', 'keyId', 'actor', 'action', 'target']) {
      await get(`credentials?${query}=${secret}`)
      await get(`audit-events?${query}=${secret}`)
    }
    // Ignored, so a credential is answered; an unknown format is refused.
    for (const query of [`key=${secret}&api=${secret}`, `x=${secret}`, `format=${secret}`]) {
      await make('GET', tenantPath('acme', `turn-rest?${query}`), token)
    }
    for (const authorization of [basic(secret), basic('junk', secret)]) {
      await call('GET', tenantPath('acme', 'turn-rest'), undefined, undefined, { authorization })
    }
    await call('POST', revokePath(uid, secret), token)
    await call('POST', revokePath(secret, secret), token)
    await call('GET', tenantPath(secret, `revocations/${secret}`), token)
    await call('DELETE', tenantPath('acme', `subjects/${secret}`), token)
    await call('POST', tenantPath('acme', 'ice-servers'), undefined, `access_token=${secret}x&ttl=${secret}`, FORM)
    await call('GET', '/v1/admin/tenants', secret)
  }
}

/** Each fault of upstream's while credentials are minted and revoked. */
async function faults({ call, uid, token, clientToken, ice, generate, turnRest, post }: Doors) {
  for (const fault of FAULTS) {
    const bearer = await clientToken(BOB)
    await generate(BOB, 'generate')
    const { username } = (await credentialRows()).at(-1) ?? {}
    await emulator.fault({ operation: '*', fault, times: 'always' })
    await ice(BOB, bearer)
    await generate(BOB, 'generate')
    await turnRest(BOB)
    await call('POST', revokePath(uid, String(username)), token)
    await post('revocations', { subject: BOB })
    passTime(MINUTE_MS)
    await runJobs('acme')
    await emulator.clearFaults()
    passTime(61 * MINUTE_MS)
    await runJobs('acme')
    // A fault that says "no such key" is believed until upstream is asked again.
    await call('GET', keysPath('acme', uid), token)
  }
}

/** Parts that fail with secrets in what they say. */
async function brokenParts({ made, clientToken, ice, generate }: Doors) {
  const bearer = await clientToken(BOB)
  const says = `${bearer} ${BOB} ${env.CALLS_API_TOKEN}`
  for (const table of ['credentials', 'audit_events']) {
    const what = `BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, '${says}'); END`
    await tenantSql('acme', `CREATE TRIGGER broken ${what}`)
    await ice(BOB, bearer)
    await generate(BOB, 'generate')
    await clientToken(BOB)
    await tenantSql('acme', 'DROP TRIGGER broken')
  }
  const fail = () => Promise.reject(new Error(says))
  const stub = { issue: fail, createClientToken: fail, edgeSnapshot: fail, isTenant: fail, revokeByUsername: fail }
  for (const overrides of [
    { RATE_SUBJECT: { limit: fail } },
    { TENANTS: { idFromName: () => 'id', get: () => stub } },
    { CACHE: { get: fail } },
  ]) {
    const broken = recorded(newBroker(overrides))
    const path = tenantPath('acme', 'ice-servers')
    for (const headers of [{}, { origin: 'https://unknown.test' }]) {
      await broken.call('POST', path, bearer, undefined, headers).catch(() => undefined)
    }
    await broken.call('OPTIONS', path, undefined, undefined, { origin: APP })
    await broken.call('POST', tenantPath('acme', 'client-tokens'), `${made[0]?.value}`, { subject: `${BOB}\n` })
    const mints = broken.answers.filter(({ text }) => text.includes('"credential"'))
    expect(mints.length, 'only KV can be done without').toBe('CACHE' in overrides ? 1 : 0)
    expect(leaksIn(broken.answers, [...STANDING, ...made, ...NAMES])).toEqual([])
  }
}

describe('G2: credentials', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it('G2: Credentials are shown to whom they are for; their subjects are shown to no caller, and stand in one table only', async () => {
    const logged = watchLogs()
    const it = await doors()
    await ordinaryLife(it)
    // Not vacuous: what is looked for below is kept, sealed, and the names are where they may be.
    expect((await credentialRows()).filter(({ sealed }) => sealed !== null).length).toBeGreaterThan(0)
    expect(leaks(await everythingStored(), NAMES)).not.toEqual([])
    await misplaced(it)
    await faults(it)
    await brokenParts(it)

    const { keys, credentials } = await emulator.secrets()
    const passwords = credentials.map(({ credential }) => ({ name: 'an ICE password', value: credential }))
    const secrets = [
      ...STANDING,
      ...it.made,
      ...passwords,
      ...keys.map(({ key }) => ({ name: 'a key secret', value: key })),
    ]
    expect(passwords.length).toBeGreaterThan(40)
    expect(leaksIn(it.answers, [...secrets, ...NAMES])).toEqual([])
    expect(leaks(logged(), [...secrets, ...NAMES])).toEqual([])
    expect(leaks(await everythingStored(), secrets)).toEqual([])
    expect(leaks(await everythingStored('subjects'), NAMES)).toEqual([])

    const upstream = await emulator.log()
    expect(leaks(JSON.stringify(upstream), [...secrets, ...NAMES])).toEqual([])
    const identifiers = upstream.map(({ body }) => (body as { customIdentifier?: string } | null)?.customIdentifier)
    const given = identifiers.filter((identifier) => identifier !== undefined)
    expect(given.length).toBeGreaterThan(20)
    expect(given.filter((identifier) => !/^su_[0-9A-Za-z]{22}$/.test(identifier))).toEqual([])

    const owners = Map.groupBy(it.shown, ([password]) => password)
    expect(owners.size).toBeGreaterThan(20)
    const shared = [...owners.values()].filter((shows) => new Set(shows.map(([, subject]) => subject)).size > 1)
    expect(shared.length, 'passwords shown for two subjects').toBe(0)
  }, 60_000)
})
