/** The browser door: how the token and the ttl may come, and how they may not. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { APP, askIceServers, clientToken, iceServersPath, postForm, served } from '../support/broker/doors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'

const FORM_TYPE = 'application/x-www-form-urlencoded'

/** Rows whose answer is another than this. */
async function others(expected: string, rows: [name: string, ask: () => Promise<Answer>][]): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, ask] of rows) {
    const answer = await ask()
    if (answer.status === 401 && answer.headers.get('www-authenticate') !== 'Bearer')
      wrong.push(`${name}: no WWW-Authenticate`)
    if (outcomeOf(answer) !== expected) wrong.push(`${name}: ${shown(answer)}`)
  }
  return wrong
}

async function acmeDoor(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy: { maxLiveCredentialsPerSubject: 1_000, ...policy } })
  const token = await clientToken(broker, acme)
  const inHeader = (init: { body?: unknown; headers?: Record<string, string> } = {}) =>
    askIceServers(broker, 'acme', token, init)
  const inForm = (form: string | Record<string, string>, headers?: Record<string, string>) =>
    postForm(broker, 'acme', form, headers)
  return { broker, acme, token, inHeader, inForm }
}

describe('the token at the browser door', () => {
  it('The token at the browser door comes in the Authorization header, with or without a body, or as a form field', async () => {
    const { broker, token, inHeader, inForm } = await acmeDoor()
    expect(
      await others('201', [
        ['header, no body', () => inHeader()],
        ['header, empty JSON object', () => inHeader({ body: {} })],
        [
          'header, JSON with its charset',
          () => inHeader({ body: {}, headers: { 'content-type': 'application/json; charset=utf-8' } }),
        ],
        [
          'header, any case of the scheme',
          () => broker.send(iceServersPath('acme'), { method: 'POST', headers: { authorization: `bEaReR  ${token}` } }),
        ],
        ['header, and a form with the ttl', () => inForm('ttl=60', { authorization: `Bearer ${token}` })],
        ['header, and an empty form', () => inForm('', { authorization: `Bearer ${token}` })],
        ['form', () => inForm({ access_token: token })],
        [
          'form with its charset',
          () => inForm({ access_token: token }, { 'content-type': `${FORM_TYPE};charset=UTF-8` }),
        ],
        [
          'form, type in upper case',
          () => inForm({ access_token: token }, { 'content-type': FORM_TYPE.toUpperCase() }),
        ],
        ['form, from a page', () => inForm({ access_token: token, ttl: '60' }, { origin: APP })],
      ]),
    ).toEqual([])
  })

  it('The token at the browser door in two places, repeated, or beside an unknown field, is a 400', async () => {
    const { token, inHeader, inForm } = await acmeDoor()
    const bearer = { authorization: `Bearer ${token}` }
    const json = (body: unknown) => inHeader({ body })
    expect(
      await others('400 invalid_request', [
        ['header and form', () => inForm({ access_token: token }, bearer)],
        ['header and another token in the form', () => inForm({ access_token: 'x' }, bearer)],
        ['header and an empty field', () => inForm('access_token=', bearer)],
        ['the field twice', () => inForm(`access_token=${token}&access_token=${token}`)],
        ['the field twice, once escaped', () => inForm(`access_token=${token}&access%5Ftoken=x`)],
        ['the ttl twice', () => inForm(`access_token=${token}&ttl=60&ttl=60`)],
        ['an unknown field', () => inForm({ access_token: token, subject: 'bob' })],
        ['a field in upper case', () => inForm({ access_token: token, TTL: '60' })],
        ['a list', () => inForm(`access_token=${token}&ttl[]=60`)],
        ['a nameless field', () => inForm(`access_token=${token}&=1`)],
        ['a prototype', () => inForm(`access_token=${token}&__proto__=1`)],
        ['header and the token in JSON', () => json({ access_token: token })],
        ['an unknown field in JSON', () => json({ subject: 'bob' })],
        ['a prototype in JSON', () => json('{"__proto__":{"ttl":60}}')],
        ['JSON that is a list', () => json([])],
        ['JSON that is null', () => json('null')],
        ['the ttl twice in JSON', () => json('{"ttl":60,"ttl":60}')],
      ]),
    ).toEqual([])
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it('The token at the browser door is found nowhere else, and without one the answer is a 401 with WWW-Authenticate', async () => {
    const { broker, token, inForm } = await acmeDoor()
    const path = iceServersPath('acme')
    const post = (query: string, headers: Record<string, string> = {}) =>
      broker.send(path + query, { method: 'POST', headers })
    expect(
      await others('401 invalid_token', [
        ['nowhere', () => post('')],
        ['in a cookie', () => post('', { cookie: `access_token=${token}` })],
        [
          'in a header of its own',
          () => post('', { 'x-access-token': token, 'proxy-authorization': `Bearer ${token}` }),
        ],
        ['under another scheme', () => post('', { authorization: `Basic ${token}` })],
        ['without a scheme', () => post('', { authorization: token })],
        ['twice in one header', () => post('', { authorization: `Bearer ${token}, Bearer ${token}` })],
        ['a broken header and a good field', () => inForm({ access_token: token }, { authorization: 'Basic eA==' })],
        ['an empty header', () => post('', { authorization: '' })],
        ['an empty field', () => inForm('access_token=')],
        ['a field with white space', () => inForm({ access_token: ` ${token}` })],
        ['only a ttl', () => inForm('ttl=60')],
      ]),
    ).toEqual([])
    // The answer names the parameter, so that a developer sees where the token must not be.
    expect(
      await others('400 invalid_request', [
        ['in the query', () => post(`?access_token=${token}`)],
        ['in the query, as others call it', () => post(`?token=${token}&jwt=${token}&authorization=Bearer%20${token}`)],
        [
          'in the query of a form',
          () =>
            broker.send(`${path}?access_token=${token}`, {
              method: 'POST',
              headers: { 'content-type': FORM_TYPE },
              body: '',
            }),
        ],
      ]),
    ).toEqual([])
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it('The token at the browser door of the server and admin doors opens nothing here', async () => {
    const { broker, acme } = await acmeDoor()
    expect(
      await others('401 invalid_token', [
        ['an API token', () => askIceServers(broker, 'acme', acme.token)],
        ['the admin token', () => askIceServers(broker, 'acme', env.ADMIN_TOKEN)],
      ]),
    ).toEqual([])
  })
})

describe('the ttl at the browser door', () => {
  it('The ttl at the browser door is an integer of 1 to 172800 seconds, and anything else is a 400', async () => {
    const { token, inHeader, inForm } = await acmeDoor({ maxTtl: 172_800, reuse: false })
    const FORM = [
      '',
      ' ',
      '0',
      '00',
      '01',
      '-1',
      '+1',
      '1.5',
      '1.0',
      '1e3',
      '0x10',
      ' 60',
      '60 ',
      '60s',
      '172801',
      '999999',
      '1000000',
      '９０',
      'Infinity',
      'NaN',
      'null',
      'true',
      '60,60',
      '9'.repeat(400),
    ]
    const JSONS = [
      '"60"',
      '0',
      '-1',
      '-0',
      '1.5',
      '172801',
      '1e9',
      '1e999',
      '-1e999',
      'null',
      'true',
      '[600]',
      '{}',
      '{"valueOf":60}',
      '""',
      '0.1',
      '9007199254740993',
    ]
    expect(
      await others('400 invalid_request', [
        ...FORM.map(
          (ttl) => [`form ${ttl}`, () => inForm({ access_token: token, ttl })] as [string, () => Promise<Answer>],
        ),
        ...JSONS.map(
          (ttl) => [`JSON ${ttl}`, () => inHeader({ body: `{"ttl":${ttl}}` })] as [string, () => Promise<Answer>],
        ),
      ]),
    ).toEqual([])
    expect(await countAsked('generate-ice-servers')).toBe(0)

    for (const ttl of ['1', '9', '600', '99999', '172800']) {
      expectStatus(await inForm({ access_token: token, ttl }), 201)
      expectStatus(await inHeader({ body: `{"ttl":${ttl}}` }), 201)
    }
    expectStatus(await inHeader({ body: '{"ttl":6e2}' }), 201)
    const sent = (await emulator.log('generate-ice-servers')).map(({ body }) => (body as { ttl: number }).ttl)
    expect(sent).toEqual([1, 1, 9, 9, 600, 600, 99_999, 99_999, 172_800, 172_800, 600])
  })

  it('The ttl at the browser door above the ceiling is refused, with the ceiling named, and never cut', async () => {
    const { broker, acme, token, inHeader, inForm } = await acmeDoor({ maxTtl: 600, defaultTtl: 300, reuse: false })
    const bound = await clientToken(broker, acme, { credentialTtl: 120 })
    const refusals = [
      [await inForm({ access_token: token, ttl: '601' }), 600],
      [await inHeader({ body: { ttl: 172_800 } }), 600],
      [await askIceServers(broker, 'acme', bound, { body: { ttl: 121 } }), 120],
      [await inForm({ access_token: bound, ttl: '600' }), 120],
    ] as const
    for (const [answer, ceiling] of refusals) {
      expect(outcomeOf(answer), answer.text).toBe('400 ttl_too_long')
      expect(answer.json.detail).toBe(`ttl: must be at most ${ceiling} seconds`)
    }
    expect(await countAsked('generate-ice-servers')).toBe(0)

    // At the ceiling, and what each gets that asks for nothing: the policy's default, the token's own.
    const granted = [
      await inHeader({ body: { ttl: 600 } }),
      await inHeader(),
      await askIceServers(broker, 'acme', bound, { body: { ttl: 120 } }),
      await askIceServers(broker, 'acme', bound),
      await askIceServers(broker, 'acme', bound, { body: { ttl: 1 } }),
    ]
    for (const answer of granted) expectStatus(answer, 201)
    const sent = (await emulator.log('generate-ice-servers')).map(({ body }) => (body as { ttl: number }).ttl)
    expect(sent).toEqual([600, 300, 120, 120, 1])
  })
})
