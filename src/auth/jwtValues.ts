/** What a JWT says: values of its header and payload, unverified, and the audience or client of an entry that it is for. */
import { type IssuerShare, JWT_ALGORITHMS, type JwtAlgorithm, type TenantIssuer } from '../contract/policy/issuers.ts'

const MAX_LIST_ITEMS = 100
/** The last second of the year 9999. */
const LATEST_TIME = 253_402_300_799

/** What makes the token one for this entry; `undefined`: it is not. The signature, times and claims are other rules. */
export function shareOf(
  payload: object,
  { issuer, audience, client, ignoreAudience }: TenantIssuer,
): IssuerShare | undefined {
  const audiences = audiencesOf(payload)
  if (!audiences) return
  if (client) {
    const isClient = ownValue(payload, client.claim) === client.value && (ignoreAudience || audiences.length === 0)
    return isClient ? { issuer, ...client } : undefined
  }
  const value = [audience ?? []].flat().find((it) => audiences.includes(it))
  return value === undefined ? undefined : { issuer, claim: 'aud', value }
}

/** `Ed25519` (RFC 9864) is what `EdDSA` means here: no other curve is accepted. */
export const sameAlgorithm = (alg: unknown): unknown => (alg === 'Ed25519' ? 'EdDSA' : alg)

/** `undefined`: `none`, an algorithm with a shared secret, or an unknown one. */
export const algorithmIn = (header: object): JwtAlgorithm | undefined =>
  JWT_ALGORITHMS.find((alg) => alg === ownValue(header, 'alg'))

/** An own property only: `__proto__` and inherited names are no claims. */
export const ownValue = (object: object, name: string): unknown =>
  Object.hasOwn(object, name) ? Reflect.get(object, name) : undefined

/** Objects are entered by their own names, lists are not. */
export function valueAt(payload: object, path: readonly string[]): unknown {
  let value: unknown = payload
  for (const name of path) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return
    value = ownValue(value, name)
  }
  return value
}

/** RFC 7519 §4.1.3: text, or a list of texts. Empty, `null` or absent: no audience. `undefined`: of another form. */
export function audiencesOf(payload: object): readonly string[] | undefined {
  const aud = ownValue(payload, 'aud') ?? []
  const list: readonly unknown[] = Array.isArray(aud) ? aud : [aud]
  if (list.length > MAX_LIST_ITEMS || !list.every((item) => typeof item === 'string')) return
  return list.filter((item) => item !== '')
}

/** A claim has a value if it equals the value, or is a list (at most 100 items) that contains it. */
export const hasValue = (claim: unknown, value: unknown): boolean =>
  claim === value || (Array.isArray(claim) && claim.length <= MAX_LIST_ITEMS && claim.includes(value))

/** NumericDate (RFC 7519 §2): seconds since 1970, fractions allowed. */
export const isTime = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= LATEST_TIME
