/**
 * Owner of each share of an issuer's tokens: an audience, or a claim that names the client. A share belongs to one tenant at
 * most. All tenants name the clients of one issuer by one claim, so that no token without `aud` is valid at two.
 */
import type { IssuerShare } from '../../contract/policy/issuers.ts'
import { shareName } from '../../contract/policy/issuers.ts'
import { BrokerError } from '../../errors.ts'
import * as log from '../../storage/log.ts'
import type { AccountContext } from '../core/context.ts'

/** Claims shares, all or none. Throws `conflict` if another tenant has one. Call it inside a transaction. */
export function claimIssuers(ctx: AccountContext, tenant: string, shares: readonly IssuerShare[]): void {
  for (const share of unclaimed(ctx, tenant, shares)) {
    if (isClaimed(ctx, tenant, share)) continue
    const detail =
      share.claim === 'aud'
        ? 'policy.issuers: an issuer with this audience belongs to another tenant; use another audience'
        : 'policy.issuers: an issuer with this client belongs to another tenant, or another tenant names clients of this issuer by another claim; use another client, or an audience'
    throw new BrokerError('conflict', { detail })
  }
}

/**
 * Claims again the shares in a tenant's report, because a late older report may have freed them. Logs `issuer_conflict`
 * if another tenant has claimed one since: its tokens are then valid at both. Call it inside a transaction.
 */
export function reclaimIssuers(ctx: AccountContext, tenant: string, shares: readonly IssuerShare[]): void {
  for (const share of unclaimed(ctx, tenant, shares)) {
    if (!isClaimed(ctx, tenant, share)) log.failure('issuer_conflict', { tenant })
  }
}

/** Frees the tenant's shares that are not in `shares`. Call it inside a transaction. */
export function freeIssuersExcept(ctx: AccountContext, tenant: string, shares: readonly IssuerShare[]): void {
  const kept = new Set(shares.map(shareName))
  for (const share of ownShares(ctx, tenant)) {
    if (kept.has(shareName(share))) continue
    const { issuer, claim, value } = share
    ctx.sql.exec('DELETE FROM issuers WHERE issuer = ? AND claim = ? AND value = ?', issuer, claim, value)
  }
}

const ownShares = (ctx: AccountContext, tenant: string) =>
  ctx.sql
    .exec<Record<keyof IssuerShare, string>>('SELECT issuer, claim, value FROM issuers WHERE tenant = ?', tenant)
    .toArray()

function unclaimed(ctx: AccountContext, tenant: string, shares: readonly IssuerShare[]): readonly IssuerShare[] {
  const own = new Set(ownShares(ctx, tenant).map(shareName))
  return shares.filter((share) => !own.has(shareName(share)))
}

/** Claims a free share. Returns whether it now belongs to the tenant. */
function isClaimed(ctx: AccountContext, tenant: string, { issuer, claim, value }: IssuerShare): boolean {
  if (claim !== 'aud' && hasOtherClientClaim(ctx, tenant, { issuer, claim })) return false
  const { owner } = ctx.sql
    .exec<{ owner: string }>(
      `INSERT INTO issuers (issuer, claim, value, tenant) VALUES (?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET tenant = tenant RETURNING tenant AS owner`,
      issuer,
      claim,
      value,
      tenant,
    )
    .one()
  return owner === tenant
}

/**
 * Whether another tenant names clients of the issuer by another claim. Reads beside the many rows of `aud` and of this claim,
 * not through them.
 */
function hasOtherClientClaim(
  ctx: AccountContext,
  tenant: string,
  { issuer, claim }: Pick<IssuerShare, 'issuer' | 'claim'>,
): boolean {
  const [low = '', high = ''] = ['aud', claim].sort()
  return (
    ctx.sql
      .exec(
        `SELECT 1 FROM issuers WHERE issuer = ?1 AND claim < ?2 AND tenant <> ?4
         UNION ALL SELECT 1 FROM issuers WHERE issuer = ?1 AND claim > ?2 AND claim < ?3 AND tenant <> ?4
         UNION ALL SELECT 1 FROM issuers WHERE issuer = ?1 AND claim > ?3 AND tenant <> ?4 LIMIT 1`,
        issuer,
        low,
        high,
        tenant,
      )
      .toArray().length > 0
  )
}
