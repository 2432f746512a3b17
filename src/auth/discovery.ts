/** OpenID Connect Discovery 1.0 §4: the address of an issuer's key set, from the issuer's own document. */
import * as z from 'zod/mini'
import type { Upstream } from '../cloudflare/exchange.ts'
import { JwksUrl } from '../contract/policy/issuers.ts'
import { fetchDocument, type Problem } from './keySets.ts'

/** As it stands in the entry of the policy. */
export interface Discovered {
  readonly jwksUrl: string
  readonly discovered: true
}

const Metadata = z.object({ issuer: z.string(), jwks_uri: z.optional(z.unknown()) })

/**
 * The `jwks_uri` of `{issuer}/.well-known/openid-configuration`, or the problem, which completes "The discovery document …". The
 * document must name this very issuer. Never rejects.
 */
export async function discoverKeySet(upstream: Upstream, issuer: string): Promise<Discovered | Problem> {
  // A slash at the end goes before the path is appended, and stays in the name of the issuer.
  const address = JwksUrl.safeParse(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
  if (!address.success || /[?#]/.test(issuer)) {
    return { problem: 'cannot be fetched: the issuer must be an https URL of a DNS name, port 443' }
  }
  const document = await fetchDocument(upstream, address.data)
  if ('problem' in document) return document
  const metadata = Metadata.safeParse(document.json)
  if (!metadata.success) return { problem: 'has no issuer' }
  const named = metadata.data.issuer
  if (named !== issuer) {
    const isSlash = `${named}/` === issuer || named === `${issuer}/`
    return { problem: `names another issuer${isSlash ? ': the two differ by the slash at the end' : ''}` }
  }
  const jwksUrl = JwksUrl.safeParse(metadata.data.jwks_uri)
  return jwksUrl.success
    ? { jwksUrl: jwksUrl.data, discovered: true }
    : { problem: 'has no jwks_uri that is an https URL of a DNS name, port 443' }
}
