/**
 * Documents of identity providers: one bounded GET each, and what a key set (RFC 7517) must be. A problem is a sentence for the
 * operator, without any text of the provider.
 */
import * as z from 'zod/mini'
import { exchange, type Upstream } from '../cloudflare/exchange.ts'
import { Jwk } from '../contract/policy/issuers.ts'

export const PROVIDER_DEADLINE_MS = 3_000
const MAX_BYTES = 65_536
const MAX_KEYS = 50

/** Keys of unknown kinds are skipped: providers may publish them too. */
const KeySet = z.object({ keys: z.array(z.unknown()).check(z.maxLength(MAX_KEYS)) })

export interface Problem {
  /** Completes "The key set …" or "The discovery document …". */
  readonly problem: string
}
export type FetchedKeys = { readonly keys: readonly Jwk[] } | Problem

/** A JSON document behind an address of the policy: a GET without anything of a caller, no redirect, 64 KiB. Never rejects. */
export async function fetchDocument(upstream: Upstream, url: string): Promise<{ readonly json: unknown } | Problem> {
  const answer = await exchange(upstream, { method: 'GET', url, deadlineMs: PROVIDER_DEADLINE_MS, maxBytes: MAX_BYTES })
  if (answer.kind === 'unanswered') {
    return { problem: `could not be fetched: ${answer.reason === 'timeout' ? 'no answer in time' : 'no connection'}` }
  }
  const { status, body } = answer
  if (status !== 200) return { problem: `could not be fetched: status ${status}${isRedirect(status)}` }
  return 'problem' in body ? { problem: `could not be read as JSON: ${body.problem}` } : body
}

/** The key set behind an address of the policy. Never rejects. */
export async function fetchKeySet(upstream: Upstream, url: string): Promise<FetchedKeys> {
  const document = await fetchDocument(upstream, url)
  return 'problem' in document ? document : readKeySet(document.json)
}

/** Key sets as they are now, each fetched once. */
export function keySets(upstream: Upstream): (url: string) => Promise<FetchedKeys> {
  const fetched = new Map<string, Promise<FetchedKeys>>()
  return (url) => {
    const set = fetched.get(url) ?? fetchKeySet(upstream, url)
    fetched.set(url, set)
    return set
  }
}

function readKeySet(json: unknown): FetchedKeys {
  const set = KeySet.safeParse(json)
  if (!set.success) return { problem: noKeySet(json) }
  const keys = set.data.keys.flatMap((key) => {
    const jwk = Jwk.safeParse(key)
    return jwk.success ? [jwk.data] : []
  })
  return { keys }
}

/** What operators take for a key set has its own words. */
function noKeySet(json: unknown): string {
  const is = 'is no JWKS (RFC 7517)'
  if (typeof json !== 'object' || json === null) return is
  if (Object.hasOwn(json, 'jwks_uri')) return `${is}, but a discovery document: use its jwks_uri`
  if (Object.hasOwn(json, 'keys')) return `${is}: keys must be a list of at most ${MAX_KEYS}`
  const isX509 = Object.values(json).some((value) => typeof value === 'string' && value.startsWith('-----BEGIN CERT'))
  return isX509 ? `${is}, but X.509 certificates: use the provider's JWKS` : is
}

const isRedirect = (status: number) => (status >= 300 && status < 400 ? ', and no redirect is followed' : '')
