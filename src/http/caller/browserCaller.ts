/**
 * Who calls at the browser door: the holder of a client token of ours, or a user of the tenant's own identity provider.
 * Turns a token into a subject, a key and what binds the caller; what these are worth is the Tenant's decision.
 */
import { isClientToken, readClientToken } from '../../auth/clientTokens.ts'
import { parseTenantJwt, readTenantJwt, type TenantJwt, type TrustedIssuers } from '../../auth/tenantJwts.ts'
import type { TenantSnapshot } from '../../cache/entries.ts'
import type { JwtReason } from '../../contract/policy/jwtReasons.ts'
import { BrokerError } from '../../errors.ts'
import type { Asker } from '../../rpc/issuing.ts'
import type { Ctx } from '../context.ts'
import { recheckedSnapshot, tenantSnapshot } from './snapshots.ts'

export interface BrowserCaller {
  readonly asker: Asker & { kind: 'client-token' | 'tenant-jwt' }
  readonly subject: string
  readonly keyId: string | null
}

/** Throws `invalid_token`. A client token is verified without any look-up; a JWT needs the tenant's issuers. */
export async function identify(c: Ctx, tenant: string, token: string): Promise<BrowserCaller> {
  const { rootKeys, deployment } = c.get('config')
  if (isClientToken(token)) {
    const clientToken = await readClientToken({ rootKeys, deployment, tenant }, token, Date.now())
    if (!clientToken) throw new BrokerError('invalid_token')
    // It was signed for this tenant, so the tenant exists or did.
    c.get('isolateCache').tenants.set(tenant, true)
    const { tokenId, origin: boundOrigin, credentialTtl: credentialTtlSeconds, subject, keyId } = clientToken
    return { asker: { kind: 'client-token', tokenId, boundOrigin, credentialTtlSeconds }, subject, keyId }
  }
  const parsed = parseTenantJwt(token)
  if (typeof parsed === 'string') throw new BrokerError('invalid_token')
  const snapshot = await tenantSnapshot(c, tenant)
  if (!snapshot) throw new BrokerError('invalid_token')
  const { jwks } = c.get('isolateCache')
  const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work)
  const keysAt: TrustedIssuers['keysAt'] = (url, need) => jwks.keys(url, { need, waitUntil })
  const read = ({ issuers }: TenantSnapshot) => readTenantJwt({ issuers, keysAt }, parsed, Date.now())
  const first = await read(snapshot)
  const jwt = typeof first === 'string' ? await readWithNewerPolicy(c, tenant, snapshot, read) : first
  if (!jwt || typeof jwt === 'string') throw new BrokerError('invalid_token')
  return { asker: { kind: 'tenant-jwt', share: jwt.share }, subject: jwt.subject, keyId: null }
}

/** An issuer or key that was just added is not in the snapshot yet. */
async function readWithNewerPolicy(
  c: Ctx,
  tenant: string,
  snapshot: TenantSnapshot,
  read: (snapshot: TenantSnapshot) => Promise<TenantJwt | JwtReason>,
): Promise<TenantJwt | JwtReason | undefined> {
  const current = await recheckedSnapshot(c, tenant, snapshot)
  return current.version === snapshot.version ? undefined : read(current)
}
