// Every fault the emulator can play, once, over real sockets.
import { connect } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createEmulator } from '../../../emulator/app.ts'
import { EmulatorControl, type FaultOrderInput } from '../../../emulator/client.ts'
import { type RunningEmulator, startEmulator } from '../../../emulator/server.ts'
import { credentials, envelope, KEYS, TOKEN, upstreamAt } from './emulatorHarness.ts'

type Fault = FaultOrderInput['fault']
const HUGE_CHARACTERS = 8 * 1_024 * 1_024

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

const postKey = () => upstream.api('POST', KEYS, { body: { name: 'a' } })
const keysMade = async () => (await control.state()).keys.length

/** Speaks HTTP by hand and tells what came over the wire until it is enough, the connection ended or fell silent. */
async function rawCreate(silenceMs = 200, isEnough: (received: { text: string }) => boolean = () => false) {
  const socket = connect(running.port, '127.0.0.1')
  const received = { text: '', end: 'silence' as 'silence' | 'closed' | 'ECONNRESET' }
  const body = '{"name":"a"}'
  const head = `POST ${KEYS} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer ${TOKEN}\r\ncontent-length: ${body.length}\r\n`
  socket.write(`${head}\r\n${body}`)
  await new Promise<void>((resolve) => {
    socket.setTimeout(silenceMs, () => resolve())
    socket.on('data', (bytes) => {
      received.text += bytes.toString()
      if (isEnough(received)) resolve()
    })
    socket.on('error', (error: NodeJS.ErrnoException) => {
      received.end = error.code === 'ECONNRESET' ? error.code : received.end
    })
    socket.on('close', (failed) => {
      if (!failed) received.end = 'closed'
      resolve()
    })
  })
  socket.destroy()
  const [headers = '', sent = ''] = received.text.split('\r\n\r\n')
  return { ...received, headers, sent, promised: Number(headers.match(/content-length: (\d+)/i)?.[1]) }
}

describe('a fault that answers', () => {
  const cases: [string, Fault, { status: number; text: RegExp; headers?: Record<string, RegExp>; effect?: boolean }][] =
    [
      ['an envelope', { kind: 'status', status: 503 }, { status: 503, text: /"success":false/ }],
      ['its own code', { kind: 'status', status: 409, code: 7 }, { status: 409, text: /"code":7,/ }],
      ['HTML', { kind: 'status', status: 520, body: 'html' }, { status: 520, text: /^<!DOCTYPE html>/ }],
      ['nothing', { kind: 'status', status: 500, body: 'empty' }, { status: 500, text: /^$/ }],
      [
        'headers',
        { kind: 'status', status: 502, headers: { a: 'b' } },
        { status: 502, text: /./, headers: { a: /^b$/ } },
      ],
      ['late', { kind: 'status', status: 500, when: 'after' }, { status: 500, text: /./, effect: true }],
      ['a redirect', { kind: 'redirect', location: '/x' }, { status: 307, text: /^$/, headers: { location: /^\/x$/ } }],
      ['the token', { kind: 'echo', status: 403 }, { status: 403, text: new RegExp(TOKEN) }],
      [
        'success false',
        { kind: 'shape', shape: 'success-false' },
        { status: 200, text: /"success":false/, effect: true },
      ],
      ['HTML in a 200', { kind: 'shape', shape: 'html' }, { status: 200, text: /^<!DOCTYPE/, effect: true }],
      ['an empty 200', { kind: 'shape', shape: 'empty' }, { status: 200, text: /^$/, effect: true }],
      ['a 204', { kind: 'shape', shape: 'no-content' }, { status: 204, text: /^$/, effect: true }],
      [
        'no secret',
        { kind: 'shape', shape: 'missing-key' },
        { status: 201, text: /^(?!.*"key").*"uid"/, effect: true },
      ],
      ['a short secret', { kind: 'shape', shape: 'short-key' }, { status: 201, text: /"key":"abc"/, effect: true }],
      ['wrong types', { kind: 'shape', shape: 'wrong-types' }, { status: 201, text: /"uid":42/, effect: true }],
      ['too deep', { kind: 'shape', shape: 'deep' }, { status: 201, text: /^\[{100000}/, effect: true }],
      ['another status', { kind: 'shape', shape: 'deep', status: 200 }, { status: 200, text: /^\[\[/, effect: true }],
      ['cut JSON', { kind: 'truncate', by: 'json' }, { status: 201, text: /^\{"success":true[^}]+$/, effect: true }],
    ]
  it.each(cases)('A fault that answers %s', async (_name, fault, { status, text, headers = {}, effect = false }) => {
    await control.fault({ operation: 'create', fault })
    const played = await postKey()
    expect(played.status).toBe(status)
    expect(played.text.slice(0, 200_000)).toMatch(text)
    for (const [name, value] of Object.entries(headers)) expect(played.headers.get(name)).toMatch(value)
    expect(await keysMade()).toBe(effect ? 1 : 0)
    expect(await control.log('create')).toMatchObject([{ fault: fault.kind, effect, status }])
    expect(await postKey()).toMatchObject({ status: 201 })
  })

  it('A fault that answers with a uid or user name that is somebody else’s', async () => {
    const key = await upstream.create()
    await control.fault({ operation: '*', fault: { kind: 'shape', shape: 'foreign-uid' }, times: 2 })
    const { result } = envelope(await upstream.api('GET', `${KEYS}/${key.uid}`))
    expect(result).toMatchObject({ uid: expect.stringMatching(/^[0-9a-f]{32}$/), name: 'a' })
    expect(result.uid).not.toBe(key.uid)
    const { iceServers } = await upstream.mint(key)
    const [credential] = (await control.state()).credentials
    expect(iceServers?.[1]?.username).toHaveLength(96)
    expect(iceServers?.[1]?.username).not.toBe(credential?.username)
  })

  it.each(['huge', 'huge-stream'] as const)('A fault that answers with megabytes: %s', async (shape) => {
    await control.fault({ operation: 'create', fault: { kind: 'shape', shape } })
    const { text, headers } = await postKey()
    expect(text.length).toBeGreaterThanOrEqual(HUGE_CHARACTERS)
    expect(JSON.parse(text)).toMatchObject({ success: true, result: { name: 'a' } })
    expect(headers.has('content-length')).toBe(shape === 'huge')
  })

  it('A fault that answers even where there is no body, or nothing but a refusal in plain text, to spoil', async () => {
    const key = await upstream.create()
    const { iceServers } = await upstream.mint(key, { ttl: 60 }, 'generate')
    const revoke = credentials(key.uid, `${iceServers?.username}/revoke`)
    await control.fault({ operation: '*', fault: { kind: 'shape', shape: 'wrong-types' }, times: 2 })
    expect(await upstream.api('POST', revoke, { bearer: key.key })).toMatchObject({
      status: 200,
      json: { result: { uid: 42 } },
    })
    expect(await upstream.api('POST', revoke)).toMatchObject({ status: 401, text: 'Unauthorized' })
  })

  const dressings: [Extract<Fault, { kind: 'rate-limit' }>['dressing'], RegExp, RegExp][] = [
    ['retry-after-seconds', /^7$/, /^-$/],
    ['retry-after-date', /GMT$/, /^-$/],
    ['retry-after-hour', /^3600$/, /^-$/],
    ['ratelimit-header', /^-$/, /^"default";r=0;t=7$/],
    ['none', /^-$/, /^-$/],
  ]
  it.each(dressings)('A fault that answers with 429 dressed as %s', async (dressing, retryAfter, ratelimit) => {
    await control.fault({ operation: 'list', fault: { kind: 'rate-limit', dressing, seconds: 7 } })
    const { status, headers } = await upstream.api('GET', KEYS)
    expect(status).toBe(429)
    expect(headers.get('retry-after') ?? '-').toMatch(retryAfter)
    expect(headers.get('ratelimit') ?? '-').toMatch(ratelimit)
    const secondsAway = (Date.parse(headers.get('retry-after') ?? '') - Date.now()) / 1_000
    if (dressing === 'retry-after-date') expect(secondsAway).toBeGreaterThan(5)
  })
})

describe('a fault of the connection', () => {
  const resets: [Extract<Fault, { kind: 'reset' }>, boolean][] = [
    [{ kind: 'reset', at: 'before-body' }, false],
    [{ kind: 'reset' }, true],
    [{ kind: 'reset', when: 'before' }, false],
    [{ kind: 'reset', at: 'mid-response' }, true],
  ]
  it.each(resets)('A fault of the connection %o has its effect: %s', async (fault, effect) => {
    await control.fault({ operation: 'create', fault })
    const { end, text, promised, sent } = await rawCreate()
    expect(end).toBe('ECONNRESET')
    if (fault.at === 'mid-response') expect(promised).toBeGreaterThan(sent.length)
    else expect(text).toBe('')
    expect(await keysMade()).toBe(effect ? 1 : 0)
    const body = fault.at === 'before-body' ? null : { name: 'a' }
    expect(await control.log('create')).toMatchObject([{ fault: 'reset', effect, body, status: null }])
  })

  it('A fault of the connection hangs before the headers', async () => {
    await control.fault({ operation: 'create', fault: { kind: 'hang' } })
    expect(await rawCreate()).toMatchObject({ end: 'silence', text: '' })
    expect(await keysMade()).toBe(1)
  })

  it('A fault of the connection hangs in the middle of the body', async () => {
    await control.fault({ operation: 'create', fault: { kind: 'hang', at: 'mid-body' } })
    const { end, headers, sent, promised } = await rawCreate()
    expect({ end, status: headers.slice(0, 12) }).toEqual({ end: 'silence', status: 'HTTP/1.1 201' })
    expect(sent.length).toBeGreaterThan(0)
    expect(sent.length).toBeLessThan(promised)
  })

  it('A fault of the connection ends before all that was promised has been sent', async () => {
    await control.fault({ operation: 'create', fault: { kind: 'truncate' } })
    const { end, sent, promised } = await rawCreate()
    expect(end).toBe('closed')
    expect(sent.length).toBeLessThan(promised)
    await control.fault({ operation: 'list', fault: { kind: 'truncate' } })
    await expect(upstream.api('GET', KEYS)).rejects.toThrow()
  })

  it('An answer that drips comes whole, in pieces of one byte', async () => {
    await control.fault({ operation: 'create', fault: { kind: 'drip', everyMs: 1 } })
    const { sent, promised } = await rawCreate(5_000)
    expect(sent.length).toBe(promised)
    // At 50 ms a byte the whole takes about 10 s: the first piece of the body comes long before the last.
    await control.fault({ operation: 'create', fault: { kind: 'drip', everyMs: 50 } })
    const first = await rawCreate(5_000, ({ text }) => /\r\n\r\n./.test(text))
    expect(first.promised).toBeGreaterThan(100)
    expect(first.sent.length).toBeLessThan(first.promised)
  })

  it('A fault of the connection is answered 501 where there are no sockets', async () => {
    const emulator = createEmulator()
    const post = (route: string, body: string) =>
      emulator.fetch(
        new Request(`http://emulator${route}`, { method: 'POST', headers: { authorization: 'Bearer t' }, body }),
      )
    await post('/__emulator/faults', '{"operation":"*","fault":{"kind":"hang"}}')
    expect(await post(KEYS, '{}')).toMatchObject({ status: 501 })
  })
})

describe('an operation that waits', () => {
  it('An operation that waits is delayed, then answered as usual', async () => {
    await control.fault({ operation: 'list', fault: { kind: 'delay', ms: 80 } })
    const startedMs = performance.now()
    expect(await upstream.api('GET', KEYS)).toMatchObject({ status: 200 })
    expect(performance.now() - startedMs).toBeGreaterThan(75)
  })

  it.each([['before', 0] as const, ['after', 1] as const])(
    'An operation that waits is held %s its effect until released',
    async (when, made) => {
      await control.hold('create', 'h', { when })
      const answer = postKey()
      await control.untilHeld('h')
      expect(await control.waiting()).toMatchObject([{ id: 'h', operation: 'create', when }])
      expect(await keysMade()).toBe(made)
      expect(await upstream.api('GET', KEYS)).toMatchObject({ status: 200 })
      expect(await control.release('other')).toBe(0)
      expect(await control.release('h')).toBe(1)
      expect(await answer).toMatchObject({ status: 201 })
      expect(await control.waiting()).toEqual([])
      await expect(control.untilHeld('h', { withinMs: 1 })).rejects.toThrow('0 of 1')
    },
  )

  it('An operation that waits takes no effect once the emulator has been reset', async () => {
    await control.hold('create', 'h')
    const answer = postKey()
    await control.untilHeld('h')
    await control.reset()
    expect(await answer).toMatchObject({ status: 503 })
    expect(await keysMade()).toBe(0)
  })
})
