/** The parser of JWTs and its rules with tokens that are changed at random, from a seed that a failure names. */
import { describe, expect, it } from 'vitest'
import { isClientToken } from '../../../src/auth/clientTokens.ts'
import { checkTenantJwt, parseTenantJwt, readTenantJwt } from '../../../src/auth/tenantJwts.ts'
import { TenantIssuers } from '../../../src/contract/policy/issuers.ts'
import { JWT_REASONS } from '../../../src/contract/policy/jwtReasons.ts'
import { base64url } from '../../../src/crypto/encoding.ts'
import { asText, encode, utf8 } from '../../support/secrets/forger.ts'
import { ISSUER, issuerAt, newKey, rightClaims, signed } from '../../support/secrets/idp.ts'

const RUNS = 1_500
/** Seeds that once found something, played again for ever. None has yet, in 100,000 runs. */
const KEPT_SEEDS: readonly number[] = []

const key = await newKey('good')
const HEADER = { alg: 'ES256', kid: 'good', typ: 'JWT' }
const issuers = TenantIssuers.parse([
  issuerAt(
    { keys: [key] },
    { requiredClaims: { role: 'caller' }, requiredClaimPaths: [{ path: ['a', 'b'], value: 1 }] },
  ),
])
const trust = { issuers, keysAt: async () => [] }
const claims = () => ({ ...rightClaims(), role: ['caller'], a: { b: 1 } })
const REASONS: readonly string[] = Object.values(JWT_REASONS).flat()

/** Mulberry32: small, and the same everywhere. */
function randomOf(seed: number) {
  let state = seed
  const next = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return (t ^ (t >>> 14)) >>> 0
  }
  const below = (bound: number): number => next() % bound
  const oneOf = <T>(list: readonly T[]): T => list[below(list.length)] as T // below its length
  return { below, oneOf }
}
type Random = ReturnType<typeof randomOf>

const VALUES: readonly unknown[] = [
  null,
  true,
  0,
  -1,
  0.5,
  1e308,
  '',
  'x',
  'aud',
  [],
  {},
  [[]],
  [null],
  { b: 1 },
  '\ud800',
  '__proto__',
]
const NAMES = [
  ...Object.keys({ ...HEADER, ...claims() }),
  'jku',
  'crit',
  'b64',
  'cty',
  'nbf',
  '',
  '__proto__',
  'toString',
  'a.b',
]
const SPLICES = ['"', '\\', '{', '}', ',', ':', '\0', '\uFEFF', '1e999', '"sub":"a",', '\\u0000', '[[[[', ' ', 'é']

/** One object with a name set, removed or put elsewhere. */
function changed(random: Random, object: object): object {
  const value: unknown = random.oneOf([...VALUES, 'x'.repeat(random.below(5_000)), random.below(2 ** 31)])
  const entries = Object.entries(object).filter(([name]) => random.below(8) > 0 || name === 'alg')
  return Object.fromEntries([...entries, [random.oneOf(NAMES), value]])
}

/** A text with some characters replaced, doubled or gone. */
function damaged(random: Random, text: string): string {
  let result = text
  for (let times = random.below(4); times >= 0; times--) {
    const at = random.below(result.length + 1)
    const with_ = random.oneOf([random.oneOf(SPLICES), String.fromCharCode(random.below(256)), ''])
    result = result.slice(0, at) + with_ + result.slice(at + random.below(3))
  }
  return result
}

async function tokenOf(random: Random, right: string): Promise<string> {
  const text = (object: object) => (random.below(3) === 0 ? damaged(random, asText(object)) : asText(object))
  switch (random.below(5)) {
    case 0:
      return damaged(random, right)
    case 1: {
      const bytes = utf8(asText(claims()))
      const at = random.below(bytes.length)
      const flipped = bytes.with(at, (bytes[at] ?? 0) ^ (1 << random.below(8)))
      const [head, , sig] = right.split('.')
      return `${head}.${base64url(flipped)}.${sig}`
    }
    case 2:
      return `${encode(text(changed(random, HEADER)))}.${encode(text(claims()))}.${right.split('.')[2]}`
    case 3:
      return `${encode(text(HEADER))}.${encode(text(changed(random, claims())))}.${encode('x'.repeat(random.below(99)))}`
    default:
      // Rightly signed: only the rules stand between this token and a credential.
      return signed(key, text(changed(random, claims())), asText(changed(random, HEADER)))
  }
}

/** What is wrong with the way this token is treated; `undefined`: nothing. */
async function wrongWith(token: string, right: string): Promise<string | undefined> {
  if (isClientToken(token)) return 'taken for a client token'
  const parsed = parseTenantJwt(token)
  const atTheDoor = typeof parsed === 'string' ? parsed : await readTenantJwt(trust, parsed, Date.now())
  const check = await checkTenantJwt(trust, token, Date.now())
  const shown = JSON.stringify(check)
  if (typeof atTheDoor === 'string') {
    if (!REASONS.includes(atTheDoor)) return `the unknown reason ${atTheDoor}`
    if (check.accepted !== null) return `refused as ${atTheDoor}, and accepted by the check: ${shown}`
    return check.results.some(({ reason }) => reason === atTheDoor) ? undefined : `${atTheDoor} is not in ${shown}`
  }
  if (check.accepted?.subject !== atTheDoor.subject) return `accepted, and refused by the check: ${shown}`
  if (token === right) return
  // What is accepted says all that the entry asks for, read by a parser of its own.
  const [head = '', body = '', signature = ''] = token.split('.')
  if (![head, body, signature].every((part) => /^[\w-]+$/.test(part))) return 'no three parts of base64url'
  const said = JSON.parse(new TextDecoder().decode(Uint8Array.fromBase64(body, { alphabet: 'base64url' })))
  const now = Date.now() / 1_000
  const isRight = said.iss === ISSUER && said.sub === atTheDoor.subject && said.exp > now - 31 && said.a.b === 1
  return isRight ? undefined : `accepted: ${asText(said)}`
}

describe("a tenant's JWT changed at random", () => {
  it("A tenant's JWT changed at random breaks neither the parser nor a rule, and is accepted only if it says all that is required", async () => {
    const right = await signed(key, claims(), HEADER)
    expect(await wrongWith(right, right)).toBeUndefined()
    const seeds = [...KEPT_SEEDS, ...Array.from({ length: RUNS }, (_, at) => at)]
    const wrong: string[] = []
    for (const seed of seeds) {
      const token = await tokenOf(randomOf(seed), right)
      const problem = await wrongWith(token, right).catch((error: unknown) => `thrown: ${error}`)
      if (problem) wrong.push(`seed ${seed}: ${problem}: ${token.slice(0, 500)}`)
    }
    expect(wrong).toEqual([])
  })
})
