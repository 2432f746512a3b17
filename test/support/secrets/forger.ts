/** Somebody who has the broker's signing key and makes client tokens of any kind with it. */
import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import { base64url } from '../../../src/crypto/encoding.ts'
import { deriveMacKey, parseRootKeys, type RootKeys } from '../../../src/crypto/rootKeys.ts'
import type { Answer } from '../broker/answer.ts'
import { countedObjects } from '../broker/bindings.ts'
import { newBroker } from '../broker/broker.ts'
import { passTime } from '../broker/clock.ts'
import { shown } from '../broker/contract.ts'
import { askIceServers, postForm, served } from '../broker/doors.ts'

export const ISSUER = 'turn-broker:test'
export const AUDIENCE = `${ISSUER}/acme`
export const HEADER = { alg: 'HS256', typ: 'client+jwt', kid: 'k1' }
export const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'

export const utf8 = (text: string) => new TextEncoder().encode(text)
export const encode = (text: string): string => base64url(utf8(text))
export const asText = (json: unknown): string => (typeof json === 'string' ? json : JSON.stringify(json))

export function ringOf(text: string): RootKeys {
  const keys = parseRootKeys(text)
  if (!keys) throw new Error('no ring of root keys')
  return keys
}

/** Tokens by what is wrong with them. */
export type Rows = Record<string, string>

/** A tenant `acme`, and claims that are right for it. The clock stands still from here on, so that a second is a second. */
export async function newForger() {
  const broker = newBroker()
  const { tokenId: ati } = await served(broker, 'acme', { policy: { maxLiveCredentialsPerSubject: 1_000 } })
  passTime(120_000)
  const now = Math.floor(Date.now() / 1_000)
  const right = { ati, iss: ISSUER, aud: AUDIENCE, sub: 'alice', iat: now, exp: now + 600, jti: 'abcdefghijklmnop' }
  const claims = (changes: object = {}): Record<string, unknown> => ({ ...right, ...changes })
  const without = (name: string) => Object.fromEntries(Object.entries(right).filter(([key]) => key !== name))
  return { broker, now, claims, without }
}

interface Signing {
  readonly tenant?: string
  readonly ring?: RootKeys
  readonly hash?: string
  /** Header and payload as they are to stand in the token. */
  readonly encoded?: string
}

/** Signs any two texts with the key of a tenant, as the broker would sign a right pair. */
export async function sign(payload: unknown, header: unknown = HEADER, signing: Signing = {}): Promise<string> {
  const { tenant = 'acme', ring = ringOf(env.ROOT_KEYS), hash = 'SHA-256', encoded } = signing
  const root = await ring.get(ring.current)
  if (!root) throw new Error('the current key is in the ring')
  const bytes = await deriveMacKey(root, 'client-token', tenant)
  const key = await crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash }, false, ['sign'])
  const text = encoded ?? `${encode(asText(header))}.${encode(asText(payload))}`
  return `${text}.${base64url(new Uint8Array(await crypto.subtle.sign('HMAC', key, utf8(text))))}`
}

/** All that a caller can tell two answers by. */
export function look({ status, headers, text }: Answer): string {
  const id = headers.get('x-request-id') ?? ''
  return JSON.stringify([status, [...headers].filter(([name]) => name !== 'x-request-id'), text.replaceAll(id, 'ID')])
}

/** What is not answered as a junk token is, in the header and in a form; nor may any reach an object or KV. */
export async function notRefused(rows: Rows): Promise<string[]> {
  const { reached, ...objects } = countedObjects()
  let kvReads = 0
  const edge = newBroker({ ...objects, CACHE: { get: async () => ++kvReads && null } })
  const expected = look(await askIceServers(edge, 'acme', 'junk'))
  expect(expected).toMatch(/^\[401,.*invalid_token/)
  const wrong: string[] = []
  for (const [name, token] of Object.entries(rows)) {
    const answers = [await postForm(edge, 'acme', { access_token: token })]
    // A header cannot hold every text.
    if (/^[\x21-\x7e]+( [\x21-\x7e]+)*$/.test(token)) answers.push(await askIceServers(edge, 'acme', token))
    for (const answer of answers) if (look(answer) !== expected) wrong.push(`${name}: ${shown(answer)}`)
  }
  if (reached.count > 0) wrong.push(`${reached.count} objects were reached for`)
  if (kvReads > 0) wrong.push(`${kvReads} reads of KV`)
  return wrong
}
