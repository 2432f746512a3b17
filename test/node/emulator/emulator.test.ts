// The two APIs as the emulator plays them, against its own description and over a real socket: operations, limits, variants.
// Faults are in emulatorFaults.test.ts.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Login } from '../../../emulator/api/iceServers.ts'
import { createEmulator } from '../../../emulator/app.ts'
import { EmulatorControl, type SettingsChange } from '../../../emulator/client.ts'
import { type RunningEmulator, startEmulator } from '../../../emulator/server.ts'
import { ACCOUNT, credentials, envelope, KEYS, TOKEN, upstreamAt } from './emulatorHarness.ts'

const DAY_MS = 86_400_000
const HEX = /^[0-9a-f]{96}$/

let running: RunningEmulator
let control: EmulatorControl
let upstream: ReturnType<typeof upstreamAt>
beforeAll(async () => {
  running = await startEmulator({ apiToken: TOKEN })
  control = new EmulatorControl(running.url)
  upstream = upstreamAt(running.url)
})
beforeEach(() => control.reset())
afterAll(() => running.close())

describe('TURN keys', () => {
  it('TURN keys go through create, get, list, update and delete with one uid, and show the secret only once', async () => {
    const made = await upstream.api('POST', KEYS, { body: { name: 'first' } })
    expect(made).toMatchObject({ status: 201, json: { success: true, errors: [], messages: [] } })
    const { uid, key, ...rest } = envelope(made).result
    expect(uid).toMatch(/^[0-9a-f]{32}$/)
    expect(key).toMatch(/^[0-9a-f]{64}$/)
    expect(Object.keys(rest).sort()).toEqual(['created', 'modified', 'name'])
    const others = [
      await upstream.api('GET', `${KEYS}/${uid}`),
      await upstream.api('PUT', `${KEYS}/${uid}`, { body: { name: 'second' } }),
      await upstream.api('GET', KEYS),
      await upstream.api('DELETE', `${KEYS}/${uid}`),
    ]
    expect(others.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(others.map(({ text }) => text).join()).not.toContain(key)
    expect(others[3]).toMatchObject({ json: { result: { uid, name: 'second' } } })
    expect(await upstream.api('GET', `${KEYS}/${uid}`)).toMatchObject({
      status: 404,
      json: { errors: [{ code: 20008 }] },
    })
    expect(await upstream.api('DELETE', `${KEYS}/${uid}`)).toMatchObject({ status: 404 })
    expect(await upstream.listed()).toEqual([])
  })

  it('TURN keys have an empty name by default, and are refused a body that is none', async () => {
    expect(await upstream.api('POST', KEYS, { body: {} })).toMatchObject({
      status: 201,
      json: { result: { name: '' } },
    })
    for (const body of [undefined, 'no json', { name: 7 }]) {
      expect(await upstream.api('POST', KEYS, { body }), String(body)).toMatchObject({
        status: 400,
        json: { success: false },
      })
    }
  })

  it('TURN keys belong to their account and stop at its limit', async () => {
    const other = KEYS.replace(ACCOUNT, 'another')
    const { uid } = await control.plantKey({ account: 'another', name: 'planted' })
    expect(await upstream.listed()).toEqual([])
    expect(await upstream.api('GET', `${KEYS}/${uid}`)).toMatchObject({ status: 404 })
    expect(await upstream.api('GET', other)).toMatchObject({ json: { result: [{ uid, name: 'planted' }] } })
    await control.settings({ maxKeysPerAccount: 1 })
    expect(await upstream.api('POST', KEYS, { body: {} })).toMatchObject({ status: 201 })
    expect(await upstream.api('POST', KEYS, { body: {} })).toMatchObject({ status: 400, json: { success: false } })
  })

  it('TURN keys are shown to the account token only', async () => {
    const wrong = { success: false, errors: [{ code: 10000 }] }
    expect(await upstream.api('GET', KEYS, { bearer: '' })).toMatchObject({ status: 401, json: wrong })
    expect(await upstream.api('GET', KEYS, { bearer: 'other' })).toMatchObject({ status: 403, json: wrong })
  })

  it('TURN keys are counted, and over the limit every call is blocked for a whole window', async () => {
    const first = await upstream.api('GET', KEYS)
    expect(first.headers.get('ratelimit')).toMatch(/^"default";r=1199;t=\d+$/)
    expect(first.headers.get('ratelimit-policy')).toBe('"default";q=1200;w=300')
    await control.settings({ rateLimit: { requests: 2, windowSeconds: 300 } })
    await control.settings({ clockOffsetMs: 100_000 })
    expect(await upstream.api('GET', KEYS)).toMatchObject({ status: 200 })
    const blocked = await upstream.api('GET', KEYS)
    expect(blocked.status).toBe(429)
    expect(Number(blocked.headers.get('retry-after'))).toBe(300)
    await control.settings({ clockOffsetMs: 390_000 })
    expect(await upstream.api('GET', KEYS)).toMatchObject({ status: 429 })
    await control.settings({ clockOffsetMs: 401_000 })
    expect(await upstream.api('GET', KEYS)).toMatchObject({ status: 200 })
  })

  it('TURN keys can lag in the list and after a delete', async () => {
    await control.settings({ listLagMs: 60_000, getAfterDeleteLagMs: 60_000 })
    const { uid } = await upstream.create()
    expect(await upstream.listed()).toEqual([])
    await control.settings({ clockOffsetMs: 61_000 })
    expect(await upstream.listed()).toEqual([uid])
    await control.removeKey(uid)
    expect(await upstream.listed()).toEqual([uid])
    expect(await upstream.api('GET', `${KEYS}/${uid}`)).toMatchObject({ status: 200 })
    await control.settings({ clockOffsetMs: 122_000 })
    expect(await upstream.listed()).toEqual([])
    expect(await upstream.api('GET', `${KEYS}/${uid}`)).toMatchObject({ status: 404 })
  })
})

describe('credentials', () => {
  it('Credentials are minted with the secret of the key and with nothing else', async () => {
    const key = await upstream.create()
    const stranger = await upstream.create()
    const { status, iceServers } = await upstream.mint(key, { ttl: 60, customIdentifier: 'subject' })
    expect(status).toBe(201)
    expect(iceServers).toEqual([
      { urls: ['stun:stun.cloudflare.com:3478'] },
      { urls: expect.any(Array), username: expect.stringMatching(/^[0-9a-f]{96}$/), credential: expect.any(String) },
    ])
    const username = iceServers?.[1]?.username
    expect((await control.state()).credentials).toMatchObject([
      { uid: key.uid, username, ttl: 60, customIdentifier: 'subject', revoked: false },
    ])
    for (const secret of [TOKEN, stranger.key, '']) {
      expect(await upstream.mint({ uid: key.uid, key: secret }), secret).toMatchObject({ status: 401 })
    }
    await upstream.api('DELETE', `${KEYS}/${key.uid}`)
    expect(await upstream.mint(key)).toMatchObject({ status: 401 })
  })

  it.each([0, 172_801, 1.5, '60', undefined])('Credentials are refused for a ttl of %s', async (ttl) => {
    expect(await upstream.mint(await upstream.create(), { ttl })).toMatchObject({ status: 400 })
    expect((await control.state()).credentials).toEqual([])
  })

  it('Credentials can be clamped instead', async () => {
    await control.settings({ ttlOutOfRange: 'clamp' })
    expect(await upstream.mint(await upstream.create(), { ttl: 864_000 })).toMatchObject({ status: 201 })
    const [credential] = (await control.state()).credentials
    expect(credential?.ttl).toBe(172_800)
    expect(Date.parse(credential?.expiresAt ?? '') - Date.parse(credential?.created ?? '')).toBe(2 * DAY_MS)
  })

  it('Credentials are revoked once and again, but not by another key', async () => {
    const key = await upstream.create()
    const stranger = await upstream.create()
    const { iceServers } = await upstream.mint(key, undefined, 'generate')
    const revoke = (by: { uid: string; key: string }, name = iceServers?.username) =>
      upstream.api('POST', credentials(by.uid, `${name}/revoke`), { bearer: by.key })
    expect(await revoke(stranger)).toMatchObject({ status: 404 })
    expect(await revoke(key, 'nobody')).toMatchObject({ status: 404 })
    expect((await control.state()).credentials).toMatchObject([{ revoked: false }])
    expect(await revoke(key)).toMatchObject({ status: 204, text: '' })
    expect(await revoke(key)).toMatchObject({ status: 204 })
    expect((await control.state()).credentials).toMatchObject([{ revoked: true }])
  })

  it('Credentials are told to a TURN server that runs beside it: each until its end, until it is revoked or all is reset', async () => {
    const told: unknown[] = []
    const turn = {
      stunUrls: ['stun:127.0.0.1:3478'],
      urls: ['turn:127.0.0.1:3478?transport=udp'],
      admit: ({ username, credential }: Login, untilMs: number) => told.push({ username, credential, untilMs }),
      dismiss: (username: string) => told.push(username),
    }
    const emulator = createEmulator({ turn, now: () => 1_000_000 })
    const ask = (route: string, init: RequestInit) => emulator.fetch(new Request(`http://emulator${route}`, init))
    const planted = await ask('/__emulator/keys', { method: 'POST', body: '{"account":"a"}' })
    const { uid, key } = (await planted.json()) as { uid: string; key: string }
    const headers = { authorization: `Bearer ${key}` }
    const minted = async () => {
      const answer = await ask(credentials(uid, 'generate'), { method: 'POST', headers, body: '{"ttl":60}' })
      return ((await answer.json()) as { iceServers: Login & { urls: string[] } }).iceServers
    }
    const { urls, ...first } = await minted()
    expect(urls).toEqual([...turn.stunUrls, ...turn.urls])
    expect(first).toEqual({ username: expect.stringMatching(HEX), credential: expect.stringMatching(HEX) })
    await ask('/__emulator/settings', { method: 'PUT', body: '{"clockOffsetMs":5000}' })
    const { urls: _, ...second } = await minted()
    expect(told.splice(0)).toEqual([
      { ...first, untilMs: 1_060_000 },
      { ...second, untilMs: 1_060_000 },
    ])
    const revoked = await ask(credentials(uid, `${first.username}/revoke`), { method: 'POST', headers })
    expect(revoked).toMatchObject({ status: 204 })
    expect(told.splice(0)).toEqual([first.username])

    createEmulator({ turn, now: () => 1_000_000, state: emulator.snapshot() })
    expect(told.splice(0)).toEqual([{ ...second, untilMs: 1_065_000 }])
    await ask('/__emulator/reset', { method: 'POST' })
    expect(told).toEqual([first.username, second.username])
  })
})

describe('variants', () => {
  const shapeOf = (found: unknown) => JSON.stringify(found, (name, value) => (name.length > 7 ? '…' : value))
  const cases: [string, SettingsChange, 'generate' | 'generate-ice-servers', RegExp][] = [
    ['an array where an object is documented', { iceServers: 'array' }, 'generate', /^\[\{"urls":\["stun:/],
    ['an object where an array is documented', { iceServers: 'object' }, 'generate-ice-servers', /^\{"urls":\["stun:/],
    ['one string per entry', { urls: 'string' }, 'generate-ice-servers', /^\[\{"urls":"stun:[^"]+"\},\{"urls":"turn:/],
    ['an object with one string', { urls: 'string' }, 'generate', /^\{"urls":"turn:[^"]+",/],
    ['STUN and TURN together', { entries: 'joined' }, 'generate-ice-servers', /^\[\{"urls":\["stun:[^\]]*"turn:/],
    [
      'URLs of port 53',
      { urlGeneration: 'port-53' },
      'generate-ice-servers',
      /"stun:stun[^"]*:53".*"turn:turn[^"]*:53\?/,
    ],
  ]
  it.each(cases)('Variants %s', async (_name, change, operation, expected) => {
    const key = await upstream.create()
    const { iceServers: documented } = await upstream.mint(key, { ttl: 60 }, operation)
    expect(shapeOf(documented)).not.toMatch(expected)
    await control.settings(change)
    expect(shapeOf((await upstream.mint(key, { ttl: 60 }, operation)).iceServers)).toMatch(expected)
  })

  it('Variants a create answer without the envelope', async () => {
    await control.settings({ createAnswer: 'bare' })
    const made = await upstream.api('POST', KEYS, { body: {} })
    expect(made).toMatchObject({ status: 201, json: { key: expect.any(String), uid: expect.any(String) } })
    expect(made.text).not.toContain('"result"')
  })
})
