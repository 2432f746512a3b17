/** What the browser door answers, and what it makes of bodies, methods and a broker that is not set up. */

import { describe, expect, it, vi } from 'vitest'
import { BODY_DEADLINE_MS, MAX_TOKEN_BODY_BYTES } from '../../src/http/body.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import {
  APP,
  askIceServers,
  clientToken,
  expectProblem,
  iceServersPath,
  postForm,
  preflight,
  served,
} from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'

const PATH = iceServersPath('acme')

async function acmeDoor(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy })
  return { broker, acme, token: await clientToken(broker, acme) }
}

/** What WebRTC's `RTCConfiguration` would make of it (W3C WebRTC §4.2.1): unknown members are ignored, known ones checked. */
function asRtcConfiguration(json: object): { urls: string[]; username?: string; credential?: string }[] {
  const known = [
    'iceTransportPolicy',
    'bundlePolicy',
    'rtcpMuxPolicy',
    'certificates',
    'iceCandidatePoolSize',
    'peerIdentity',
  ]
  expect(Object.keys(json).filter((name) => known.includes(name))).toEqual([])
  const { iceServers } = json as { iceServers: { urls: string[]; username?: string; credential?: string }[] }
  for (const { urls, username, credential } of iceServers) {
    expect(urls.length).toBeGreaterThan(0)
    for (const url of urls) {
      expect(url).toMatch(/^(stun:[^?]+|turns?:[^?]+\?transport=(udp|tcp))$/)
      // A TURN server without both makes the constructor throw InvalidAccessError.
      if (url.startsWith('turn')) expect([typeof username, typeof credential]).toEqual(['string', 'string'])
    }
  }
  return iceServers
}

describe('the answer of the browser door', () => {
  it('The answer of the browser door has these fields and no others, and is what RTCPeerConnection takes', async () => {
    const { broker, token } = await acmeDoor()
    const begun = Date.now()
    const answer = await askIceServers(broker, 'acme', token, { body: { ttl: 600 } })
    const ended = Date.now()
    expectStatus(answer, 201)
    expect(Object.keys(answer.json)).toEqual(['iceServers', 'ttl', 'expiresAt', 'refreshAfter', 'source'])
    const [stun, turn, ...more] = asRtcConfiguration(answer.json)
    expect([stun, more]).toEqual([{ urls: ['stun:stun.cloudflare.com:3478'] }, []])
    expect(Object.keys(turn ?? {})).toEqual(['urls', 'username', 'credential'])
    expect(turn?.urls).toHaveLength(3)

    const { credentials } = await emulator.secrets()
    expect(credentials).toContainEqual(
      expect.objectContaining({ username: turn?.username, credential: turn?.credential }),
    )
    const expiresAt = Date.parse(answer.json.expiresAt)
    expect(expiresAt).toBeGreaterThanOrEqual(begun + 600_000)
    expect(expiresAt).toBeLessThanOrEqual(ended + 600_000)
    const [upstream] = (await emulator.state()).credentials
    expect(expiresAt).toBeLessThanOrEqual(Date.parse(String(upstream?.expiresAt)))
    expect(answer.json).toMatchObject({ ttl: expect.closeTo(599, 0), source: 'minted' })
    expect(answer.json.refreshAfter).toBeGreaterThanOrEqual(298)
    expect(answer.json.refreshAfter).toBeLessThanOrEqual(300)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('server-timing')).toMatch(/^tenant;dur=\d+$/)
  })

  it('The answer of the browser door hands a live credential out again, and says so', async () => {
    const { broker, token } = await acmeDoor()
    const first = await askIceServers(broker, 'acme', token)
    const again = await askIceServers(broker, 'acme', token)
    expect(again.json, again.text).toEqual({
      ...first.json,
      source: 'reused',
      ttl: again.json.ttl,
      refreshAfter: again.json.refreshAfter,
    })
    expect(again.json.expiresAt).toBe(first.json.expiresAt)
  })

  it('The answer of the browser door without TURN has no username, lasts a minute, and says so', async () => {
    const { broker, token } = await acmeDoor({ fallback: 'stun' })
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 500 }, times: 'always' })
    const answer = await askIceServers(broker, 'acme', token, { origin: APP })
    expectStatus(answer, 201)
    const { expiresAt, ...rest } = answer.json
    expect(rest).toEqual({
      iceServers: [{ urls: ['stun:stun.cloudflare.com:3478'] }],
      ttl: 60,
      refreshAfter: 60,
      source: 'stun-only',
    })
    expect(Math.abs(Date.parse(expiresAt) - Date.now() - 60_000)).toBeLessThan(2_000)
    asRtcConfiguration(answer.json)
  })

  it('The answer of the browser door sets no cookie, on success, refusal and preflight alike', async () => {
    const { broker, token } = await acmeDoor()
    const cookie = { cookie: 'session=1' }
    const answers = [
      await askIceServers(broker, 'acme', token, { origin: APP, headers: cookie }),
      await askIceServers(broker, 'acme', 'x', { origin: APP, headers: cookie }),
      await preflight(broker, 'acme', APP, cookie),
    ]
    expect(answers.map(({ status }) => status)).toEqual([201, 401, 204])
    for (const { headers } of answers) {
      expect(headers.getSetCookie()).toEqual([])
      expect(headers.get('access-control-allow-credentials')).toBeNull()
    }
  })
})

describe('a request the browser door does not take', () => {
  it('A request the browser door does not take with a body above 32 KiB is a 413, in JSON and in a form, however it is announced', async () => {
    const { broker, token } = await acmeDoor()
    const bearer = { authorization: `Bearer ${token}` }
    const blanks = ' '.repeat(MAX_TOKEN_BODY_BYTES)
    for (const answer of [
      await askIceServers(broker, 'acme', token, { body: `{}${blanks}` }),
      await postForm(broker, 'acme', `access_token=${'a'.repeat(MAX_TOKEN_BODY_BYTES)}`),
      await postForm(broker, 'acme', { access_token: token }, { 'content-length': '104857600' }),
      await broker.send(PATH, { method: 'POST', headers: bearer, body: new Blob([blanks, ' ']).stream() }),
    ]) {
      expectProblem(answer, 'too_large')
    }
    expectStatus(await askIceServers(broker, 'acme', token, { body: `{}${blanks.slice(2)}` }), 201)
  })

  it('A request the browser door does not take of another type is a 415, and broken JSON a 400', async () => {
    const { broker, token } = await acmeDoor()
    const types = [
      'text/html',
      'text/plain; charset=utf-16',
      'multipart/form-data; boundary=x',
      'application/x-www-form-urlencodedx',
      'application/jsonp',
    ]
    for (const type of types) {
      const answer = await askIceServers(broker, 'acme', token, { body: '{}', headers: { 'content-type': type } })
      expectProblem(answer, 'unsupported_media_type')
      expect(answer.json.detail).toBe(
        'Content-Type: must be application/x-www-form-urlencoded or application/json or text/plain with JSON, in UTF-8',
      )
    }
    const zipped = { 'content-encoding': 'gzip' }
    expectProblem(await askIceServers(broker, 'acme', token, { body: '{}', headers: zipped }), 'unsupported_media_type')
    expectProblem(await postForm(broker, 'acme', { access_token: token }, zipped), 'unsupported_media_type')
    for (const body of ['{', '{}{}', 'ttl=60', '\uFEFF{}'])
      expectProblem(await askIceServers(broker, 'acme', token, { body }), 'invalid_request')
  })

  it(`A request the browser door does not take that has not arrived after ${BODY_DEADLINE_MS / 1_000} s is a 400`, async () => {
    const { broker, token } = await acmeDoor()
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
    try {
      for (const type of ['application/json', 'application/x-www-form-urlencoded', undefined]) {
        const sent = broker.send(PATH, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, ...(type ? { 'content-type': type } : {}) },
          body: new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode('{')) }),
        })
        await vi.waitFor(() => expect(vi.getTimerCount()).toBeGreaterThan(0))
        await vi.advanceTimersByTimeAsync(BODY_DEADLINE_MS)
        expectProblem(await sent, 'invalid_request')
      }
    } finally {
      vi.useRealTimers()
    }
  })

  it('A request the browser door does not take by another method is a 405 that names POST and OPTIONS', async () => {
    const { broker, token } = await acmeDoor()
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await broker.call(method, PATH, token)
      expectProblem(answer, 'method_not_allowed')
      expect(answer.headers.get('allow')?.split(', ').sort()).toEqual(['OPTIONS', 'POST'])
    }
  })

  it('A request the browser door does not take for a tenant whose id could not be one is a 404', async () => {
    const { broker, token } = await acmeDoor()
    for (const id of ['ACME', 'a_b', '-a', 'a'.repeat(33), '%00', 'acme%2F', '..%2facme']) {
      const answer = await askIceServers(broker, id, token, { origin: APP })
      expect(outcomeOf(answer), id).toBe('404 not_found')
      expectProblem(await preflight(broker, id, APP), 'not_found')
    }
  })

  it('A request the browser door does not take at a broker that is not set up learns so, and not what is missing', async () => {
    const { token } = await acmeDoor()
    for (const override of [
      { ROOT_KEYS: 'junk' },
      { CALLS_API_TOKEN: undefined },
      { DEPLOYMENT: '' },
      { CACHE: null },
    ]) {
      const [name = ''] = Object.keys(override)
      const broken = newBroker(override)
      const spellings = [PATH, PATH.replace('-', '%2D'), `${PATH}?x=1`]
      for (const path of spellings) {
        const answer = await broken.call('POST', path, token, undefined, { origin: APP })
        expectProblem(answer, 'misconfigured')
        expect(answer.text).not.toContain(name)
      }
      expect((await preflight(broken, 'acme', APP)).text).not.toContain(name)
      expect((await broken.call('GET', '/v1/tenants/acme', token)).text).toContain(name)
    }
  })
})
