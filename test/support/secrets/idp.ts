/** Identity providers of tenants, as a test plays them: their keys, JWTs of any kind, and the key sets they serve. */
import { exportJWK, generateKeyPair, type JWK } from 'jose'
import { expect } from 'vitest'
import type { JwtAlgorithm } from '../../../src/contract/policy/issuers.ts'
import { base64url } from '../../../src/crypto/encoding.ts'
import type { PlayedAnswer, Received } from '../../node/support/playedAnswer.ts'
import { type Broker, newBroker } from '../broker/broker.ts'
import { MINUTE_MS, passTime } from '../broker/clock.ts'
import { shown } from '../broker/contract.ts'
import { postForm, served } from '../broker/doors.ts'
import { countAsked } from '../broker/upstream.ts'
import { asText, encode, look, type Rows, utf8 } from './forger.ts'

const TOLD = 'https://told-idp.test.example'

export const ISSUER = 'https://login.example/'
export const AUDIENCE = 'calls'

/** A place at the provider that answers as the test says. The path is new unless it is given, so no other test uses it. */
export function playedProvider(path = `/${crypto.randomUUID()}/keys`) {
  const control = `${TOLD}/told${path}`
  const received = async (): Promise<Received[]> => (await fetch(control)).json()
  let forgotten = 0
  return {
    path,
    jwksUrl: TOLD + path,
    answers: async (told: PlayedAnswer) => void (await fetch(control, { method: 'PUT', body: JSON.stringify(told) })),
    serves: async (...keys: object[]) =>
      void (await fetch(control, { method: 'PUT', body: JSON.stringify({ body: JSON.stringify({ keys }) }) })),
    asked: async (): Promise<Received[]> => (await received()).slice(forgotten),
    /** What came until now is not counted: when a policy is set, the broker looks at its key sets. */
    forget: async () => {
      forgotten = (await received()).length
    },
  }
}

/** An issuer of its own with a discovery document, and the key set that it leads to. */
export function playedIssuer() {
  const base = `/${crypto.randomUUID()}`
  const keys = playedProvider(`${base}/keys`)
  const discovery = playedProvider(`${base}/.well-known/openid-configuration`)
  const issuer = TOLD + base
  return {
    issuer,
    keys,
    discovery,
    /** The document of this issuer, with changes. */
    leads: (changes: object = {}) =>
      discovery.answers({ body: JSON.stringify({ issuer, jwks_uri: keys.jwksUrl, ...changes }) }),
  }
}

export interface Key {
  readonly alg: string
  readonly kid: string
  readonly privateKey: CryptoKey
  readonly jwk: JWK
}

export async function newKey(kid: string, alg: JwtAlgorithm = 'ES256'): Promise<Key> {
  const { publicKey, privateKey } = await generateKeyPair(alg)
  return { alg, kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid } }
}

/** An entry of `policy.issuers`. */
export const issuerAt = (it: { jwksUrl: string } | { keys: readonly Key[] }, more: object = {}) => ({
  issuer: ISSUER,
  audience: AUDIENCE,
  algorithms: ['ES256'],
  ...('jwksUrl' in it ? { jwksUrl: it.jwksUrl } : { jwks: { keys: it.keys.map(({ jwk }) => jwk) } }),
  ...more,
})

/** Claims that are right by the Worker's clock. */
export function rightClaims(): Record<string, unknown> {
  const now = Math.floor(Date.now() / 1_000)
  return { iss: ISSUER, aud: AUDIENCE, sub: 'alice', iat: now, exp: now + 600 }
}

/** A valid token except for these claims. */
export const jwtOf = (key: Key, changes: object = {}): Promise<string> =>
  signed(key, { ...rightClaims(), ...changes }, { alg: key.alg, kid: key.kid, typ: 'JWT' })

/** Signs any two texts as they are to stand in the token; what they say of the algorithm does not matter. */
export async function signed({ alg, privateKey }: Key, payload: unknown, header: unknown): Promise<string> {
  const text = `${encode(asText(header))}.${encode(asText(payload))}`
  return `${text}.${base64url(await signature(privateKey, alg, text))}`
}

/** Of the algorithms that tests sign with themselves. */
export async function signature(key: CryptoKey, alg: string, text: string): Promise<Uint8Array> {
  const parameters = { name: key.algorithm.name, hash: `SHA-${alg.slice(2)}`, saltLength: Number(alg.slice(2)) / 8 }
  return new Uint8Array(await crypto.subtle.sign(parameters, key, utf8(text)))
}

/** A tenant `acme` that trusts a key set and has been given a right token; the clock stands still from here on. */
export async function newTrust(more: object = {}, ...others: object[]) {
  const broker = newBroker()
  const provider = playedProvider()
  const key = await newKey('good')
  await provider.serves(key.jwk)
  const issuers = [issuerAt(provider, more), ...others]
  const acme = await served(broker, 'acme', { policy: { issuers, maxLiveCredentialsPerSubject: 1_000 } })
  await provider.forget()
  passTime(2 * MINUTE_MS)
  return { broker, provider, key, acme, now: Math.floor(Date.now() / 1_000) }
}

/** A form holds any text; a header would be refused for many before the token is looked at. */
const inForm = (broker: Broker, token: string) => postForm(broker, 'acme', { access_token: token })

/** The tokens that are not answered as a junk token is. None may cause a mint. */
export async function notRefused(broker: Broker, rows: Rows): Promise<string[]> {
  const minted = await countAsked('generate-ice-servers')
  const expected = look(await inForm(broker, 'junk'))
  expect(expected).toMatch(/^\[401,.*invalid_token/)
  const wrong: string[] = []
  for (const [name, token] of Object.entries(rows)) {
    const answer = await inForm(broker, token)
    if (look(answer) !== expected) wrong.push(`${name}: ${shown(answer)}`)
  }
  const more = (await countAsked('generate-ice-servers')) - minted
  return more === 0 ? wrong : [...wrong, `${more} were minted`]
}

/** The rows that are not answered 201: the control of a table of forgeries. */
export async function notAccepted(broker: Broker, rows: Rows): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, token] of Object.entries(rows)) {
    const answer = await inForm(broker, token)
    if (answer.status !== 201) wrong.push(`${name}: ${shown(answer)}`)
  }
  return wrong
}
