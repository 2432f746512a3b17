/** Owner of each pair of issuer and audience: one tenant at most, so that no token is valid at two tenants. */
import type { IssuerPair } from '../../contract/policy/issuers.ts'
import { BrokerError } from '../../errors.ts'
import * as log from '../../storage/log.ts'
import type { AccountContext } from '../core/context.ts'

/** Claims pairs, all or none. Throws `conflict` if another tenant has one. Call it inside a transaction. */
export function claimIssuers(ctx: AccountContext, tenant: string, pairs: readonly IssuerPair[]): void {
  for (const pair of pairs) {
    if (isClaimed(ctx, tenant, pair)) continue
    const detail = 'policy.issuers: an issuer with this audience belongs to another tenant; use another audience'
    throw new BrokerError('conflict', { detail })
  }
}

/**
 * Claims again the pairs in a tenant's report, because a late older report may have freed them. Logs `issuer_conflict`
 * if another tenant has claimed one since: its tokens are then valid at both. Call it inside a transaction.
 */
export function reclaimIssuers(ctx: AccountContext, tenant: string, pairs: readonly IssuerPair[]): void {
  for (const pair of pairs) {
    if (!isClaimed(ctx, tenant, pair)) log.failure('issuer_conflict', { tenant })
  }
}

/** Claims a free pair. Returns whether the pair now belongs to the tenant. */
function isClaimed(ctx: AccountContext, tenant: string, { issuer, audience }: IssuerPair): boolean {
  const { owner } = ctx.sql
    .exec<{ owner: string }>(
      `INSERT INTO issuers (issuer, audience, tenant) VALUES (?, ?, ?)
       ON CONFLICT DO UPDATE SET tenant = tenant RETURNING tenant AS owner`,
      issuer,
      audience,
      tenant,
    )
    .one()
  return owner === tenant
}

/** Frees the tenant's pairs that are not in `pairs`. Call it inside a transaction. */
export function freeIssuersExcept(ctx: AccountContext, tenant: string, pairs: readonly IssuerPair[]): void {
  const kept = new Set(pairs.map(nameOf))
  const rows = ctx.sql
    .exec<{ issuer: string; audience: string }>('SELECT issuer, audience FROM issuers WHERE tenant = ?', tenant)
    .toArray()
  for (const pair of rows) {
    if (kept.has(nameOf(pair))) continue
    ctx.sql.exec('DELETE FROM issuers WHERE issuer = ? AND audience = ?', pair.issuer, pair.audience)
  }
}

const nameOf = ({ issuer, audience }: IssuerPair): string => JSON.stringify([issuer, audience])
