/**
 * Identity providers as a policy is about to name them: addresses that discovery gives, and warnings about key sets that verify no
 * token. Runs in the Worker, before the Tenant is asked: a Durable Object has six connections for all it does. So has a request of
 * the Worker; what waits for one waits within its own 3 s.
 */
import type { Upstream } from '../cloudflare/exchange.ts'
import type { TenantIssuer } from '../contract/policy/issuers.ts'
import type { PolicyWarning } from '../contract/resources/tenants.ts'
import type { Failure } from '../errors.ts'
import { discoverKeySet } from './discovery.ts'
import { hasKeyFor } from './jwtKeys.ts'
import { type FetchedKeys, keySets } from './keySets.ts'

export interface PreparedIssuers {
  /** With the `jwksUrl` of each that gave only its `issuer`. */
  readonly issuers: TenantIssuer[]
  readonly warnings: PolicyWarning[]
  /** An entry whose key set cannot be found: `discovery_failed`. Nothing may be stored then. */
  readonly refusal: Failure | undefined
}

/** Takes 6 s at most: discovery, then the key sets. Never rejects. */
export async function prepareIssuers(upstream: Upstream, issuers: readonly TenantIssuer[]): Promise<PreparedIssuers> {
  const keySetAt = keySets(upstream)
  const warnings: PolicyWarning[] = []
  let refusal: Failure | undefined
  const prepare = async (entry: TenantIssuer, index: number): Promise<TenantIssuer> => {
    const { issuer, jwks, jwksUrl } = entry
    const path = `policy.issuers.${index}`
    const found = jwks || jwksUrl ? entry : await discoverKeySet(upstream, issuer)
    if ('problem' in found) {
      refusal = { code: 'discovery_failed', detail: `${path}: the discovery document ${found.problem}` }
      return entry
    }
    const problem = unusable(jwks ?? (await keySetAt(found.jwksUrl ?? '')), entry)
    if (problem) warnings.push({ code: 'issuer_key_set_unusable', path, detail: `The key set ${problem}.` })
    return { ...entry, ...found }
  }
  const prepared = await Promise.all(issuers.map(prepare))
  return { issuers: prepared, warnings: warnings.sort((a, b) => (a.path < b.path ? -1 : 1)), refusal }
}

function unusable(set: FetchedKeys, { algorithms }: TenantIssuer): string | undefined {
  if ('problem' in set) return set.problem
  return hasKeyFor(set.keys, algorithms) ? undefined : `has no key that verifies ${algorithms.join(' or ')}`
}
