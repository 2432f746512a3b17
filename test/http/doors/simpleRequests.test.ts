/** The browser door takes every CORS simple request that carries a token in its body, and what else a page may send. */
import { describe, expect, it } from 'vitest'
import type { Answer } from '../../support/broker/answer.ts'
import { expectStatus, newBroker } from '../../support/broker/broker.ts'
import { outcomeOf } from '../../support/broker/contract.ts'
import { APP, clientToken, iceServersPath, postForm, preflight, served } from '../../support/broker/doors.ts'
import { countAsked } from '../../support/broker/upstream.ts'
import { jwtOf, newTrust } from '../../support/secrets/idp.ts'

async function acmeDoor() {
  const broker = newBroker()
  const acme = await served(broker)
  const token = await clientToken(broker, acme)
  const post = (body: string, type?: string, headers: Record<string, string> = {}) =>
    broker.send(iceServersPath('acme'), {
      method: 'POST',
      headers: { origin: APP, ...(type === undefined ? {} : { 'content-type': type }), ...headers },
      body: new TextEncoder().encode(body),
    })
  return { broker, token, post }
}

const json = (fields: object) => JSON.stringify(fields)

describe('a simple request', () => {
  it('A simple request has its token in a form, in JSON as text/plain, or in JSON without a type', async () => {
    const { token, post } = await acmeDoor()
    const body = json({ access_token: token, ttl: 600 })
    for (const answer of [
      await post(`access_token=${token}&ttl=600`, 'application/x-www-form-urlencoded;charset=UTF-8'),
      await post(body, 'text/plain'),
      await post(body, 'text/plain;charset=UTF-8'),
      await post(body, 'Text/Plain; Charset="utf-8"'),
      await post(body),
      // These three need a preflight.
      await post(body, 'application/json'),
      await post(json({ ttl: 600 }), 'text/plain', { authorization: `Bearer ${token}` }),
      await post('', 'text/plain;charset=UTF-8', { authorization: `Bearer ${token}` }),
    ]) {
      expectStatus(answer, 201)
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
    }
  })

  it('A JWT of 16,384 characters is taken in a form, in JSON and in the header, and a longer one is no token', async () => {
    const { broker, key } = await newTrust()
    const post = (init: RequestInit) => broker.send(iceServersPath('acme'), { method: 'POST', ...init })
    const outcomes = async (token: string) => {
      const answers: Answer[] = [
        await postForm(broker, 'acme', { access_token: token }),
        await post({ headers: { 'content-type': 'text/plain' }, body: json({ access_token: token }) }),
        await post({ headers: { authorization: `Bearer ${token}` } }),
      ]
      return answers.map(outcomeOf)
    }
    const sized = (characters: number) => jwtOf(key, { groups: 'g'.repeat(characters) })
    const rest = (await sized(12_000)).length
    // Four characters of the token for three of the claim.
    const most = 12_000 + Math.floor(((16_384 - rest) * 3) / 4)
    const [longest, longer] = [await sized(most), await sized(most + 3)]
    expect(longest.length).toBeGreaterThan(16_380)
    expect(longest.length).toBeLessThanOrEqual(16_384)
    expect(longer.length).toBeGreaterThan(16_384)
    expect(await outcomes(longest)).toEqual(['201', '201', '201'])
    expect(await outcomes(longer)).toEqual(['401 invalid_token', '401 invalid_token', '401 invalid_token'])
  })

  it('A simple request that is JSON is held to the rules of JSON: one token, known fields, no text of another kind', async () => {
    const { token, post } = await acmeDoor()
    const rows: [string, string, Record<string, string>?][] = [
      ['400 invalid_request', json({ access_token: token }), { authorization: `Bearer ${token}` }],
      ['400 invalid_request', `{"access_token":"${token}","access_token":"${token}"}`],
      ['400 invalid_request', json({ access_token: token, accessToken: token })],
      ['400 invalid_request', json({ access_token: [token] })],
      ['400 invalid_request', json({ access_token: null })],
      ['400 invalid_request', `access_token=${token}`],
      ['400 invalid_request', json([token])],
      ['401 invalid_token', json({ access_token: '' })],
      ['401 invalid_token', json({ ttl: 600 })],
      ['401 invalid_token', json({}), { cookie: `access_token=${token}` }],
      ['401 invalid_token', '', { cookie: `access_token=${token}` }],
    ]
    for (const [expected, body, headers] of rows) {
      const answer = await post(body, 'text/plain', headers)
      expect(outcomeOf(answer), body).toBe(expected)
      expect(answer.headers.get('access-control-allow-origin')).toBe(APP)
    }
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })
})

describe('a preflight', () => {
  async function asking() {
    const { broker } = await acmeDoor()
    return (requested: string) => preflight(broker, 'acme', APP, { 'access-control-request-headers': requested })
  }
  const TRACING = [
    'sentry-trace',
    'baggage',
    'traceparent',
    'tracestate',
    'newrelic',
    'x-datadog-trace-id',
    'b3',
    'x_y',
  ]

  it('A preflight allows every header name that it asks for, and says that its answer varies by them', async () => {
    const ask = await asking()
    const answer = await ask(['authorization', ...TRACING, 'content-type'].join(','))
    expectStatus(answer, 204)
    expect(answer.headers.get('access-control-allow-headers')).toBe(
      ['Authorization', 'Content-Type', ...TRACING].join(', '),
    )
    expect(answer.headers.get('vary')).toBe('Origin, Access-Control-Request-Headers')
    for (const empty of ['', ' , ,', 'Authorization'])
      expect((await ask(empty)).headers.get('access-control-allow-headers')).toBe('Authorization, Content-Type')
  })

  it('A preflight is refused by name where it asks for more than 30 names or 1,024 characters, or for what is no name', async () => {
    const ask = await asking()
    const names = (count: number, characters = 4) =>
      Array.from({ length: count }, (_, n) => `x${n}`.padEnd(characters, 'y')).join(',')
    expectStatus(await ask(names(30)), 204)
    expectStatus(await ask(`x${'y'.repeat(1_023)}`), 204)
    for (const refused of [names(31), `x${'y'.repeat(1_024)}`, 'a b', 'a:b', 'x\u00e9', '"x"', 'a;b', 'x,(y)', 'x/y']) {
      const answer = await ask(refused)
      expect(outcomeOf(answer), refused).toBe('400 invalid_request')
      expect(answer.json.detail).toBe(
        'Access-Control-Request-Headers: must be at most 30 header names in 1024 characters',
      )
      expect(answer.headers.get('access-control-allow-headers')).toBeNull()
      expect(answer.headers.get('vary')).toBe('Origin, Access-Control-Request-Headers')
    }
  })

  it('A preflight of a foreign origin learns nothing of header names', async () => {
    const { broker } = await acmeDoor()
    const answer = await preflight(broker, 'acme', 'https://stranger.example', {
      'access-control-request-headers': 'sentry-trace',
    })
    expect(outcomeOf(answer)).toBe('403 origin_not_allowed')
    expect(answer.headers.get('access-control-allow-headers')).toBeNull()
  })
})
