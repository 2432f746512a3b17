/** G7: no TTL beyond the tenant's ceiling or 172,800 s is ever sent upstream, whatever trick is played. */

import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { randomFrom } from '../support/contract/randomBodies.ts'
import { expectOutcome, type Issuer, mintsAsked, newIssuer } from '../support/tenants/issuing.ts'

const MAX_TTL = 172_800
/** JSON texts. The policy's default ceiling is 14,400, and 86,400 for back ends. */
const JSON_TRICKS = [
  '1e9',
  '172801',
  '-1',
  '0',
  '-0',
  '1.5',
  '"86400"',
  '"600"',
  'null',
  '1e999',
  '-1e999',
  '[600]',
  '[]',
  'true',
  'false',
  '{}',
  '{"ttl":600}',
  '9007199254740993',
  '4294967896',
  '86401',
  '172800',
  '600.0000001',
]
const ABOVE_MAX_TTL = '14401'
const FORM_TRICKS = [
  ...JSON_TRICKS,
  ABOVE_MAX_TTL,
  '',
  ' 600',
  '600 ',
  '+600',
  '0600',
  '0x258',
  '6e2',
  '600.0',
  '600,0',
  '６００',
  '600\n',
  '600\0',
  'NaN',
  'Infinity',
]

const tokenOf = (() => {
  const tokens = new WeakMap<Issuer, Promise<string>>()
  return (acme: Issuer) => {
    const token = tokens.get(acme) ?? acme.clientToken()
    tokens.set(acme, token)
    return token
  }
})()

type Ask = (acme: Issuer, ttl: string) => Promise<Answer>

const form = async ({ broker, id }: Issuer, token: string, fields: string) =>
  broker.send(`/v1/tenants/${id}/ice-servers`, {
    method: 'POST',
    headers: { 'content-type': 'application/x-www-form-urlencoded' },
    body: `access_token=${token}&${fields}`,
  })

const twin =
  (operation: string): Ask =>
  ({ broker, uid, token }, ttl) =>
    broker.call('POST', `/v1/turn/keys/${uid}/credentials/${operation}`, token, `{"ttl":${ttl}}`)

/** Where a request may name a ttl, which is used unchanged or refused. */
const places: [string, Ask, readonly string[]][] = [
  [
    'the JSON body of the browser door',
    async (acme, ttl) => acme.ice(await tokenOf(acme), `{"ttl":${ttl}}`),
    [...JSON_TRICKS, ABOVE_MAX_TTL],
  ],
  [
    'the form of the browser door',
    async (acme, ttl) => form(acme, await tokenOf(acme), `ttl=${encodeURIComponent(ttl)}`),
    FORM_TRICKS,
  ],
  [
    'the credentialTtl of a client token',
    (acme, ttl) => acme.post('/client-tokens', `{"subject":"ann","credentialTtl":${ttl}}`),
    [...JSON_TRICKS, ABOVE_MAX_TTL],
  ],
  ["the body of Cloudflare's generate call", twin('generate'), JSON_TRICKS],
  ["the body of Cloudflare's generate-ice-servers call", twin('generate-ice-servers'), JSON_TRICKS],
]

const refusals = ['400 invalid_request', '400 ttl_too_long', '400 31001', '400 31002']

describe('G7: malformed and excessive ttls', () => {
  it.each(places)(
    'G7: A ttl in %s that is no integer from 1 to the ceiling is a 400 and is never sent upstream',
    async (_name, ask, tricks) => {
      const acme = await newIssuer()
      const taken: string[] = []
      for (const trick of tricks) {
        const answer = await ask(acme, trick)
        if (!refusals.includes(outcomeOf(answer))) taken.push(`${trick}: ${shown(answer)}`)
      }
      expect(taken).toEqual([])
      expect(await mintsAsked()).toEqual([])
    },
  )

  it('G7: A body that names the ttl twice, or hides it in a prototype, is a 400 and is never sent upstream', async () => {
    const acme = await newIssuer()
    const token = await tokenOf(acme)
    for (const body of ['{"ttl":60,"ttl":172800}', '{"ttl":60,"\\u0074tl":172800}', '{"__proto__":{"ttl":172800}}'])
      expectOutcome(await acme.ice(token, body), '400 invalid_request')
    for (const fields of ['ttl=60&ttl=172800', 'ttl[]=172800', 'ttl=60&TTL=172800', 'ttl=60;ttl=172800'])
      expectOutcome(await form(acme, token, fields), '400 invalid_request')
    expect(await mintsAsked()).toEqual([])
  })
})

/** Where a ttl has no place: the default is minted. TURN REST usernames elsewhere start with an expiry. */
const elsewhere: [string, Ask][] = [
  [
    'headers',
    async (acme, ttl) =>
      acme.ice(await tokenOf(acme), {}, { ttl, 'x-ttl': ttl, 'x-turn-ttl': ttl, 'cf-ttl': ttl, 'max-age': ttl }),
  ],
  [
    "the query of Cloudflare's call",
    ({ broker, uid, token }, ttl) =>
      broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate?ttl=${ttl}`, token, {}),
  ],
  [
    'the query of the TURN REST call',
    ({ broker, token }, ttl) =>
      broker.call('GET', `/v1/tenants/acme/turn-rest?service=turn&ttl=${ttl}&lifetime=${ttl}`, token),
  ],
  [
    'the username of the TURN REST call',
    ({ broker, token }, ttl) =>
      broker.call('GET', `/v1/tenants/acme/turn-rest?service=turn&username=${ttl}:ann`, token),
  ],
]

describe('G7: ttls where none belongs', () => {
  it.each(elsewhere)('G7: A ttl in %s is ignored, and the default is minted', async (_name, ask) => {
    const acme = await newIssuer({ reuse: false })
    for (const ttl of ['172800', '1e9', '999999999999']) {
      const answer = await ask(acme, ttl)
      expect([200, 201], answer.text).toContain(answer.status)
    }
    expect((await mintsAsked()).map(({ body }) => body)).toMatchObject([{ ttl: 3_600 }, { ttl: 3_600 }, { ttl: 3_600 }])
  })

  it('G7: A ttl in the query of the browser door is refused by its name, and nothing is minted', async () => {
    const acme = await newIssuer({ reuse: false })
    const token = await acme.clientToken()
    const answer = await acme.broker.call('POST', '/v1/tenants/acme/ice-servers?ttl=172800', token)
    expectOutcome(answer, '400 invalid_request')
    expect(answer.json.detail).toMatch(/^ttl: is not/)
    expect(await mintsAsked()).toEqual([])
  })

  it('G7: The credentialTtl of a client token is capped by a ceiling that has fallen below the claim', async () => {
    const acme = await newIssuer({ maxTtl: MAX_TTL })
    const token = await acme.clientToken('ann', { credentialTtl: MAX_TTL })
    expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { policy: { maxTtl: 600, defaultTtl: 60 } }), 200)
    expectOutcome(await acme.ice(token), '201')
    expectOutcome(await acme.ice(token, { ttl: 601 }), '400 ttl_too_long')
    expect((await mintsAsked()).map(({ body }) => body)).toMatchObject([{ ttl: 600 }])
  })
})

describe('G7: random ttls and ceilings', () => {
  it('G7: Of several hundred random ttls only those from 1 to the ceiling are sent, unchanged', async () => {
    const random = randomFrom(20_240_607)
    const acme = await newIssuer({ reuse: false, maxLiveCredentialsPerSubject: 1_000, maxMintsPerMinute: 100_000 })
    const expected: number[] = []
    const wrong: string[] = []
    for (let round = 0; round < 14; round++) {
      const maxTtl = round === 0 ? MAX_TTL : 1 + Math.floor(random() ** 3 * MAX_TTL)
      const maxServerTtl = 1 + Math.floor(random() ** 3 * MAX_TTL)
      const policy = { maxTtl, maxServerTtl, defaultTtl: 1 + Math.floor(random() * maxTtl) }
      expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { policy }), 200)
      const credentialTtl = 1 + Math.floor(random() * maxTtl)
      const [open, bound] = [await acme.clientToken('ann'), await acme.clientToken('ann', { credentialTtl })]
      const ask = async (turn: number) => {
        const ceiling = [maxServerTtl, maxTtl, credentialTtl][turn % 3] ?? 0
        const text = anyTtl(random, ceiling)
        const answer = await (turn % 3 === 0
          ? twin(turn % 2 === 0 ? 'generate' : 'generate-ice-servers')(acme, text)
          : acme.ice(turn % 3 === 1 ? open : bound, `{"ttl":${text}}`))
        const value: unknown = JSON.parse(text)
        const isFine = typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= ceiling
        if (isFine) expected.push(value)
        const kept = isFine ? answer.status === 201 : refusals.includes(outcomeOf(answer))
        if (!kept) wrong.push(`ceiling ${ceiling}, ttl ${text}: ${shown(answer)}`)
      }
      await Promise.all(Array.from({ length: 24 }, (_, turn) => ask(turn)))
    }
    expect(wrong).toEqual([])
    const sent = (await mintsAsked()).map(({ body }) => Number((body as { ttl: unknown }).ttl))
    expect(sent.sort((a, b) => a - b)).toEqual(expected.sort((a, b) => a - b))
    expect(expected.length).toBeGreaterThan(50)
    expect(expected.length).toBeLessThan(300)
  })
})

/** A JSON text: mostly a number around the ceiling or Cloudflare's bound, at times something else. */
function anyTtl(random: () => number, ceiling: number): string {
  const near = (value: number) => value + Math.floor(random() * 5) - 2
  const kinds = [
    () => String(near(ceiling)),
    () => String(near(MAX_TTL)),
    () => String(near(0)),
    () => String(1 + Math.floor(random() * ceiling)),
    () => String(Math.floor(random() * 2 ** 53)),
    () => String(random() * ceiling),
    () => `${Math.floor(random() * 10)}e${Math.floor(random() * 30)}`,
    () => `"${Math.floor(random() * ceiling)}"`,
    () => `[${Math.floor(random() * ceiling)}]`,
  ]
  return (kinds[Math.floor(random() * kinds.length)] as () => string)()
}
