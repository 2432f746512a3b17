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
  /** Completes "The key set …": what was asked, and what came. */
  readonly problem: string
}
export type FetchedKeys = { readonly keys: readonly Jwk[] } | Problem

/** A JSON document behind an address of the policy: a GET without anything of a caller, no redirect, 64 KiB. Never rejects. */
export async function fetchDocument(
  upstream: Upstream,
  url: string,
  deadlineMs = PROVIDER_DEADLINE_MS,
): Promise<{ readonly json: unknown } | Problem> {
  const answer = await exchange(upstream, { method: 'GET', url, deadlineMs, maxBytes: MAX_BYTES })
  if (answer.kind === 'unanswered') {
    return { problem: answer.reason === 'timeout' ? 'was not answered in time' : 'could not be reached' }
  }
  const { status, body } = answer
  if (status !== 200) return { problem: `was answered with status ${status}${isRedirect(status)}` }
  return 'problem' in body ? { problem: `is no JSON that can be read (${body.problem})` } : body
}

/** The key set behind an address of the policy. Never rejects. */
export async function fetchKeySet(upstream: Upstream, url: string, deadlineMs?: number): Promise<FetchedKeys> {
  const document = await fetchDocument(upstream, url, deadlineMs)
  return 'problem' in document ? document : readKeySet(document.json)
}

function readKeySet(json: unknown): FetchedKeys {
  const set = KeySet.safeParse(json)
  if (!set.success) return { problem: `is no JWKS (RFC 7517), but ${kindOf(json)}` }
  const keys = set.data.keys.flatMap((key) => {
    const jwk = Jwk.safeParse(key)
    return jwk.success ? [jwk.data] : []
  })
  return { keys }
}

/** What operators take for a key set. */
function kindOf(json: unknown): string {
  if (typeof json !== 'object' || json === null) return 'other JSON'
  if ('jwks_uri' in json) return 'a discovery document: use its jwks_uri'
  if ('keys' in json) return `has no list of keys, or more than ${MAX_KEYS}`
  const isX509 = Object.values(json).some((value) => typeof value === 'string' && value.startsWith('-----BEGIN CERT'))
  return isX509 ? "a set of X.509 certificates: use the provider's JWKS" : 'other JSON'
}

const isRedirect = (status: number) => (status >= 300 && status < 400 ? '; no redirect is followed' : '')
