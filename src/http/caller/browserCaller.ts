/**
 * Who calls at the browser door: the holder of a client token of ours, or a user of the tenant's own identity provider.
 * Turns a token into a subject, a key and what binds the caller; what these are worth is the Tenant's decision.
 */
import { isClientToken, readClientToken } from '../../auth/clientTokens.ts'
import { type ParsedJwt, parseTenantJwt, readTenantJwt, type TrustedIssuers } from '../../auth/tenantJwts.ts'
import type { TenantSnapshot } from '../../cache/entries.ts'
import type { JwtReason } from '../../contract/policy/jwtReasons.ts'
import { BrokerError } from '../../errors.ts'
import type { Asker } from '../../rpc/issuing.ts'
import type { Ctx } from '../context.ts'
import { noteRefusedJwt, refusedJwt } from './refusedJwts.ts'
import { recheckedSnapshot, snapshotAfter, tenantSnapshot } from './snapshots.ts'

export interface BrowserCaller {
  readonly asker: Asker & { kind: 'client-token' | 'tenant-jwt' }
  readonly subject: string
  readonly keyId: string | null
  /** The JWT, and the version of the policy by which it was verified; `null`: a client token. */
  readonly verified: { readonly jwt: ParsedJwt; readonly version: number } | null
}

/** Reasons of the rules `exp`, `nbf` and `iat`: a newer policy changes nothing about them. */
const LASTING = /^(exp|nbf|not_yet|iat|issued)/

/** Throws `invalid_token`. A client token is verified without any look-up; a JWT needs the tenant's issuers. */
export async function identify(c: Ctx, tenant: string, token: string): Promise<BrowserCaller> {
  const { rootKeys, deployment } = c.get('config')
  if (isClientToken(token)) {
    const clientToken = await readClientToken({ rootKeys, deployment, tenant }, token, Date.now())
    if (!clientToken) throw new BrokerError('invalid_token')
    // It was signed for this tenant, so the tenant exists or did.
    c.get('isolateCache').tenants.set(tenant, true)
    const { tokenId, origin: boundOrigin, credentialTtl: credentialTtlSeconds, subject, keyId } = clientToken
    const asker = { kind: 'client-token', tokenId, boundOrigin, credentialTtlSeconds } as const
    return { asker, subject, keyId, verified: null }
  }
  const jwt = parseTenantJwt(token)
  if (typeof jwt === 'string') throw refusedJwt(c, jwt)
  const snapshot = await tenantSnapshot(c, tenant)
  if (!snapshot) throw new BrokerError('invalid_token')
  // For the log line: the tenant exists.
  c.set('tenant', tenant)
  return identifyByNewest(c, snapshot, jwt)
}

/**
 * Asks for a credential. A Tenant that has changed the entry by which a JWT was verified refuses it: then the JWT is verified by
 * the newer policy, and the Tenant asked once more. Throws the refusal.
 */
export async function askFor<T>(
  c: Ctx,
  tenant: string,
  caller: BrowserCaller,
  ask: (caller: BrowserCaller) => Promise<T>,
): Promise<T> {
  try {
    return await ask(caller)
  } catch (error) {
    const isRefused = error instanceof BrokerError && error.failure.code === 'invalid_token'
    if (!isRefused || !caller.verified) throw error
    const { jwt, version } = caller.verified
    const newer = await snapshotAfter(c, tenant, version)
    if (!newer) throw error
    return ask(requireCaller(c, newer, jwt, await identifyBy(c, newer, jwt)))
  }
}

/** An issuer or key that was just added is not in the snapshot yet. */
async function identifyByNewest(c: Ctx, snapshot: TenantSnapshot, jwt: ParsedJwt): Promise<BrowserCaller> {
  const caller = await identifyBy(c, snapshot, jwt)
  const isFinal = typeof caller !== 'string' || LASTING.test(caller)
  const current = isFinal ? snapshot : await recheckedSnapshot(c, snapshot.tenant, snapshot)
  const again = current.version === snapshot.version ? caller : await identifyBy(c, current, jwt)
  return requireCaller(c, current, jwt, again)
}

async function identifyBy(c: Ctx, snapshot: TenantSnapshot, jwt: ParsedJwt): Promise<BrowserCaller | JwtReason> {
  const read = await readTenantJwt(trustOf(c, snapshot), jwt, Date.now())
  if (typeof read === 'string') return read
  const { entry, subject } = read
  return { asker: { kind: 'tenant-jwt', entry }, subject, keyId: null, verified: { jwt, version: snapshot.version } }
}

function requireCaller(
  c: Ctx,
  snapshot: TenantSnapshot,
  jwt: ParsedJwt,
  caller: BrowserCaller | JwtReason,
): BrowserCaller {
  if (typeof caller !== 'string') return caller
  noteRefusedJwt(c, { tenant: snapshot.tenant, trust: trustOf(c, snapshot), jwt, reason: caller })
  throw refusedJwt(c, caller)
}

function trustOf(c: Ctx, { issuers }: TenantSnapshot): TrustedIssuers {
  const { jwks } = c.get('isolateCache')
  const waitUntil = (work: Promise<unknown>) => c.executionCtx.waitUntil(work)
  return { issuers, keysAt: (url, need) => jwks.keys(url, { need, waitUntil }) }
}
