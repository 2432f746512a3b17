/** `turn-rest`: what a client may send, and in which dialects one credential is answered. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { TURN_REST_FORMATS } from '../../../src/contract/resources/credentials.ts'
import { expectStatus, newBroker, newTurnKey } from '../../support/broker/broker.ts'
import { outcomeOf, shown } from '../../support/broker/contract.ts'
import { expectProblem, served, tenantPath } from '../../support/broker/doors.ts'
import { countAsked, emulator } from '../../support/broker/upstream.ts'

const PATH = tenantPath('acme', 'turn-rest')
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const TURN = [
  'turn:turn.cloudflare.com:3478?transport=udp',
  'turn:turn.cloudflare.com:3478?transport=tcp',
  'turns:turn.cloudflare.com:443?transport=tcp',
]
const STUN = 'stun:stun.cloudflare.com:3478'

const acmeOf = (broker: ReturnType<typeof newBroker>) => served(broker, 'acme', { policy: { defaultTtl: 900 } })

describe('turn-rest: the request', () => {
  it('Turn-rest answers username, password, ttl and the TURN URLs, for a named user or for none', async () => {
    const broker = newBroker()
    const acme = await acmeOf(broker)
    for (const query of ['', '?service=turn', '?username=alice', '?username=alice&service=TURN&format=uberti']) {
      const answer = await broker.call('GET', PATH + query, acme.token)
      expectStatus(answer, 200)
      expect(Object.keys(answer.json)).toEqual(['username', 'password', 'ttl', 'uris'])
      expect(answer.json.uris).toEqual(TURN)
      expect([899, 900]).toContain(answer.json.ttl)
      const { username, password: credential } = answer.json
      expect((await emulator.secrets()).credentials).toContainEqual({ username, credential })
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
    const asked = (await emulator.log('generate-ice-servers')).map(({ body }) => body)
    const named = { ttl: 900, customIdentifier: expect.stringMatching(/^su_/) }
    expect(asked).toEqual([{ ttl: 900 }, { ttl: 900 }, named, named])
    expectStatus(await broker.call('GET', PATH, env.ADMIN_TOKEN), 200)
  })

  it('Turn-rest takes the user in the body of a POST, as JSON or as a form, or no body at all', async () => {
    const broker = newBroker()
    const acme = await acmeOf(broker)
    const form = (body: string, query = '') => broker.call('POST', PATH + query, acme.token, body, FORM)
    const asked = [
      () => broker.call('POST', PATH, acme.token, { username: 'alice' }),
      () => broker.call('POST', PATH, acme.token, { username: 'alice', service: 'Turn' }),
      () => form('service=TURN&username=alice'),
      () => form('username=alice'),
      // Janus sends the same text as body and as query.
      () => form('service=turn&api=x&key=x&username=alice', '?service=turn&api=x&key=x&username=alice'),
      () => broker.call('POST', PATH, acme.token, {}),
      () => broker.call('POST', PATH, acme.token),
      () => form(''),
    ]
    for (const ask of asked) {
      const answer = await ask()
      expectStatus(answer, 200)
      expect(Object.keys(answer.json)).toEqual(['username', 'password', 'ttl', 'uris'])
    }
    const minted = (await emulator.log('generate-ice-servers')).map(({ body }) => body)
    const [alice] = minted as { customIdentifier: string }[]
    expect(alice?.customIdentifier).toMatch(/^su_/)
    const nobody = { ttl: 900 }
    expect(minted).toEqual([alice, alice, alice, alice, alice, nobody, nobody, nobody])
  })

  it('Turn-rest refuses another service, an unknown format and a name that is none, before anything is asked upstream', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const wrong: string[] = []
    const queries = [
      ...['service=', 'service=stun', 'service=turns', 'service=turn%20', 'service=%00'],
      ...['format=', 'format=xml', 'format=RTC', 'format=__proto__', 'format=toString', 'format=uberti%00'],
      ...['username=', 'username=%00', `username=${'x'.repeat(129)}`],
      ...['username=a&username=a', 'service=turn&service=turn', 'format=rtc&format=rtc'],
    ]
    for (const query of queries) {
      const field = query.split('=')[0]
      for (const method of ['GET', 'POST']) {
        const answer = await broker.call(method, `${PATH}?${query}`, acme.token)
        const isNamed = outcomeOf(answer) === '400 invalid_request' && answer.json.detail.startsWith(`${field}: `)
        if (!isNamed) wrong.push(`${method} ${query}: ${shown(answer)}`)
      }
    }
    for (const body of [
      ...['service=stun', 'service=', 'username=', `username=${'x'.repeat(129)}`, 'username=%00', 'ttl=60', 'a'],
      ...['format=rtc', 'username=a&username=a', 'service=turn&service=turn', '{"username":"a"}'],
    ]) {
      const answer = await broker.call('POST', PATH, acme.token, body, FORM)
      if (outcomeOf(answer) !== '400 invalid_request') wrong.push(`${body}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it('Turn-rest says which formats there are when it is asked for another', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const { json } = await broker.call('GET', `${PATH}?format=yaml`, acme.token)
    const formats = 'uberti, rtc, ice-servers, matrix, xep-0215, link, selkies, uri'
    expect(json.detail).toBe(`format: must be one of: ${formats}`)
    expect(TURN_REST_FORMATS.join(', ')).toBe(formats)
  })

  it('Turn-rest refuses a POST that names its user in the URL alone, or another one there', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    for (const body of [undefined, {}, { username: 'bob' }]) {
      expectProblem(await broker.call('POST', `${PATH}?username=alice`, acme.token, body), 'invalid_request')
    }
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it('Turn-rest takes no token out of the URL, and ignores every query parameter that it does not know', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const ignored = `api=${acme.token}&key=${acme.token}&key=x&ttl=1&x=1&x=2&Service=stun&Format=xml`
    for (const method of ['GET', 'POST']) {
      expectStatus(await broker.call(method, `${PATH}?${ignored}`, acme.token), 200)
      const answer = await broker.call(method, `${PATH}?${ignored}`, undefined)
      expect(outcomeOf(answer)).toBe('401 invalid_token')
      expect(answer.text).not.toContain(acme.token)
    }
  })

  it('Turn-rest mints by the key of the policy', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const second = await newTurnKey(broker, acme, 'second')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: second } }), 200)
    expectStatus(await broker.call('GET', PATH, acme.token), 200)
    expect((await emulator.state()).credentials.map(({ uid }) => uid)).toEqual([second])
  })

  it('Turn-rest refuses HEAD, which would mint a credential that no client reads', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    for (const format of TURN_REST_FORMATS) {
      const answer = await broker.call('HEAD', `${PATH}?format=${format}`, acme.token)
      expect([answer.status, answer.headers.get('allow')]).toEqual([405, 'POST, GET'])
    }
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })
})

describe('turn-rest: the answer', () => {
  it('Turn-rest answers each format in its content type, with the credential that was minted', async () => {
    const broker = newBroker()
    const acme = await acmeOf(broker)
    for (const method of ['GET', 'POST']) {
      for (const [format, { type, body }] of Object.entries(ANSWERS)) {
        const answer = await broker.call(method, `${PATH}?format=${format}`, acme.token)
        expectStatus(answer, 200)
        expect(answer.headers.get('content-type'), format).toBe(type)
        const { credentials } = await emulator.secrets()
        const { username = '', credential = '' } = credentials.at(-1) ?? {}
        const expected = body({ username, credential })
        if (expected instanceof RegExp) expect(answer.text, format).toMatch(expected)
        else expect(answer.json ?? answer.text, format).toEqual(expected)
      }
    }
    expect(Object.keys(ANSWERS)).toEqual([...TURN_REST_FORMATS])
  })
})

interface Login {
  username: string
  credential: string
}

const list = (login: Login) => [{ urls: [STUN] }, { urls: TURN, ...login }]
const uberti = ({ username, credential: password }: Login): unknown => ({
  username,
  password,
  ttl: expect.any(Number),
  uris: TURN,
})
const JSON_TYPE = 'application/json'
const TEXT = 'text/plain; charset=utf-8'

const ANSWERS: Record<string, { type: string; body: (login: Login) => unknown }> = {
  uberti: { type: JSON_TYPE, body: uberti },
  rtc: { type: JSON_TYPE, body: (login) => ({ iceServers: list(login) }) },
  'ice-servers': { type: JSON_TYPE, body: list },
  matrix: { type: JSON_TYPE, body: uberti },
  'xep-0215': {
    type: 'application/xml',
    body: ({ username, credential }) => {
      const service = (type: string, host: string, port: number, transport: string) =>
        `<service type="${type}" host="${host}.cloudflare.com" port="${port}" transport="${transport}"`
      const login = ` username="${username}" password="${credential}" expires="[-0-9T:.]+Z"/>`
      return new RegExp(
        `^<services xmlns="urn:xmpp:extdisco:2">${service('stun', 'stun', 3478, 'udp')}/>${[
          service('turn', 'turn', 3478, 'udp'),
          service('turn', 'turn', 3478, 'tcp'),
          service('turns', 'turn', 443, 'tcp'),
        ]
          .map((start) => start + login)
          .join('')}</services>$`,
      )
    },
  },
  link: {
    type: TEXT,
    body: ({ username, credential }) =>
      [
        `Link: <${STUN}>; rel="ice-server"\n`,
        ...TURN.map(
          (url) =>
            `Link: <${url}>; rel="ice-server"; username="${username}"; credential="${credential}"; credential-type="password"\n`,
        ),
      ].join(''),
  },
  selkies: {
    type: JSON_TYPE,
    body: (login) => ({
      lifetimeDuration: expect.stringMatching(/^(899|900)s$/),
      iceServers: list(login),
      blockStatus: 'NOT_BLOCKED',
      iceTransportPolicy: 'all',
    }),
  },
  uri: {
    type: TEXT,
    body: ({ username, credential }) =>
      TURN.map((url) => `${url.replace(':', `://${username}:${credential}@`)}\n`).join(''),
  },
}
