/** Which tenant an (issuer, audience) belongs to: one, so that no token opens two tenants. */
import type { IssuerPair } from '../../contract/policy/issuers.ts'
import { BrokerError } from '../../errors.ts'
import * as log from '../../storage/log.ts'
import type { AccountContext } from '../core/context.ts'

/** Inside a transaction. Throws `conflict` when one of them is another tenant's; then none is claimed. */
export function claimIssuers(ctx: AccountContext, tenant: string, pairs: readonly IssuerPair[]): void {
  for (const pair of pairs) {
    if (isClaimed(ctx, tenant, pair)) continue
    const detail = 'policy.issuers: an issuer with this audience belongs to another tenant'
    throw new BrokerError('conflict', { detail })
  }
}

/**
 * Inside a transaction: what the tenant says that it has is its own, though a report from before, late on its way, may
 * have freed it. If another tenant has taken it since, somebody must look: one token opens both.
 */
export function reclaimIssuers(ctx: AccountContext, tenant: string, pairs: readonly IssuerPair[]): void {
  for (const pair of pairs) {
    if (!isClaimed(ctx, tenant, pair)) log.failure('issuer_conflict', { tenant })
  }
}

/** Whether it is the tenant's now. */
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

/** Inside a transaction: frees what the tenant had and does not have any more. */
export function keepIssuers(ctx: AccountContext, tenant: string, pairs: readonly IssuerPair[]): void {
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
