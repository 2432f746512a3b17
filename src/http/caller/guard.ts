/**
 * Authentication of every route, cheapest check first: syntax, the token's check, rate limits, cached refusals. A forged API token
 * is refused here, without a look-up. Whether any other is valid, the Tenant says in the operation itself. Its refusals are
 * cached for 10 s.
 */
import { type Operator, readAdminToken } from '../../auth/admin.ts'
import { parseApiToken } from '../../auth/apiTokens.ts'
import { basicPasswordOf } from '../../auth/basic.ts'
import { bearerOf } from '../../auth/bearer.ts'
import type { Caller } from '../../auth/caller.ts'
import type { TenantSnapshot } from '../../cache/entries.ts'
import { within } from '../../concurrency/deadline.ts'
import { includesRole } from '../../contract/roles.ts'
import type { Route } from '../../contract/routes.ts'
import type { Scope } from '../../contract/scopes.ts'
import { TenantId, TurnKeyUid } from '../../contract/values.ts'
import { BrokerError, type ErrorCode, noSuchTurnKey } from '../../errors.ts'
import { type Ctx, hostOf } from '../context.ts'
import { accountObject, call, tenantExists, tenantObject } from '../objects.ts'
import { accessOperator, warnIfDoorIsClosed } from './accessOperator.ts'
import { setCachedCorsHeaders } from './cors.ts'
import { countingUnproven, limitAddress, limitOperator, limitTenant, limitUnproven } from './rateLimits.ts'
import { cachedSnapshot, strangersTenantExists } from './snapshots.ts'
import { type Proven, proofOf } from './tokenProof.ts'

export interface Admission {
  /** Runs the operation. If the Tenant refuses the token, the refusal is cached. */
  readonly cacheRefusal: <T>(operation: () => Promise<T>) => Promise<T>
}

/** How long the Account may take to say whether a tenant exists, before its object is asked itself. */
const EXISTENCE_MS = 1_000
const NO_REFUSAL_CACHE: Admission = { cacheRefusal: (operation) => operation() }

export async function guard(c: Ctx, route: Route): Promise<Admission> {
  if (route.access === 'public') return NO_REFUSAL_CACHE
  if (route.access === 'client-token') {
    // The handler reads the token, because it may be in the body, and counts the request.
    setCachedCorsHeaders(c)
    return NO_REFUSAL_CACHE
  }
  const { access, basic = false } = route
  const { operator, apiToken } = await countingUnproven(c, () => identify(c, { access, basic }))
  if (operator) {
    await limitOperator(c, operator.name)
    c.set('caller', operator)
    requireRole(operator, route)
    return admitOperator(c)
  }
  return admitApiToken(c, apiToken)
}

type Identified =
  | { readonly operator: Operator; readonly apiToken?: never }
  | {
      readonly operator?: never
      readonly apiToken: Proven & { readonly scope: Scope }
    }

/** Who the header says is calling. Throws `invalid_token` for what proves nothing: no token, a junk or a forged one. */
async function identify(
  c: Ctx,
  { access, basic }: { readonly access: 'admin' | { readonly scope: Scope }; readonly basic: boolean },
): Promise<Identified> {
  const authorization = c.req.header('Authorization')
  if (access === 'admin') {
    warnIfDoorIsClosed(c.get('config'))
    // Access opens these routes only: the others take any Content-Type, so a page of another site could use its cookie.
    if (authorization === undefined) return { operator: await accessOperator(c) }
  }
  const password = basic ? basicPasswordOf(authorization) : undefined
  if (password !== undefined) requireNoOtherSite(c)
  const token = password ?? bearerOf(authorization)
  if (token === undefined) throw new BrokerError('invalid_token')
  const apiToken = parseApiToken(token)
  if (access === 'admin' || !apiToken) {
    // A browser keeps what it once sent as Basic, so the admin token is a bearer only.
    const operator = password === undefined && (await readAdminToken(c.get('config'), token, hostOf(c)))
    if (!operator) throw new BrokerError('invalid_token')
    return { operator }
  }
  const proven = await proofOf(c, apiToken)
  if (!proven) throw new BrokerError('invalid_token')
  return { apiToken: { ...proven, scope: access.scope } }
}

/** A browser that knows a Basic password adds it to requests that other sites' pages cause, and says so here. */
function requireNoOtherSite(c: Ctx): void {
  const site = c.req.header('Sec-Fetch-Site') ?? 'none'
  if (site !== 'none' && site !== 'same-origin')
    throw new BrokerError('origin_not_allowed', { detail: 'Basic is refused where another site caused the request.' })
}

/** A route without a role is an owner's. */
function requireRole({ role }: Operator, { role: needed = 'owner', access }: Route): void {
  if (access !== 'admin' || includesRole(role, needed)) return
  throw new BrokerError('role_required', { detail: `This needs the role ${needed}; yours is ${role}.` })
}

async function admitOperator(c: Ctx): Promise<Admission> {
  const tenant = tenantInPath(c) ?? (await ownerOfKey(c))
  if (tenant === undefined) return NO_REFUSAL_CACHE
  if (!TenantId.safeParse(tenant).success || !(await tenantExists(c, tenant))) {
    throw new BrokerError('not_found', { detail: 'No such tenant.' })
  }
  c.set('tenant', tenant)
  return NO_REFUSAL_CACHE
}

async function admitApiToken(c: Ctx, { caller, scope, proof }: Proven & { readonly scope: Scope }): Promise<Admission> {
  const { tenant } = caller
  if (proof === 'current') await limitTenant(c, tenant)
  else await limitUnproven(c, tenant)
  if (proof === 'unknown') await limitAddress(c)

  const { refusals, tenants } = c.get('isolateCache')
  const refusalKey = `${caller.digest} ${scope}`
  const refused = refusals.get(refusalKey)
  if (refused) throw new BrokerError(refused)
  const refuse = (code: ErrorCode) => {
    refusals.set(refusalKey, code)
    return new BrokerError(code)
  }
  if (!tenants.get(tenant) && !(await mayExist(c, tenant, proof))) throw refuse('invalid_token')

  const admission: Admission = {
    async cacheRefusal(operation) {
      try {
        return await operation()
      } catch (error) {
        // A failure that was stored for an earlier request says nothing about this token.
        if (error instanceof BrokerError && error.failure.aboutCaller) throw refuse(error.failure.code)
        throw error
      }
    },
  }
  if ((tenantInPath(c) ?? tenant) !== tenant) {
    const object = tenantObject(c, tenant)
    await admission.cacheRefusal(() => call(object.authorize({ caller, scope, requestId: c.get('requestId') })))
    throw foreign(c)
  }
  c.set('caller', caller)
  c.set('tenant', tenant)
  return admission
}

/**
 * Whether the object of a tenant may be called: anyone may name a tenant that never was, and no object may be created for it.
 * While KV and the Account are both out of reach the answer is yes, so that mints go on: an object that is not set up stores
 * nothing.
 */
async function mayExist(c: Ctx, tenant: string, proof: Proven['proof']): Promise<boolean> {
  const { tenants } = c.get('isolateCache')
  if (await cachedSnapshot(c, tenant)) {
    tenants.set(tenant, true)
    return true
  }
  try {
    const asked = proof === 'current' ? tenantExists(c, tenant) : strangersTenantExists(c, tenant)
    return await within(EXISTENCE_MS, asked, () => true)
  } catch (error) {
    if (error instanceof BrokerError && error.failure.code === 'rate_limited') throw error
    return true
  }
}

/** Cloudflare's credential routes name a TURN key but no tenant. For an operator, the Account knows the key's owner. */
async function ownerOfKey(c: Ctx): Promise<string | undefined> {
  const uid = c.req.param('key_id')
  if (uid === undefined) return
  const owner = TurnKeyUid.safeParse(uid).success ? await call(accountObject(c).turnKeyOwner(uid)) : null
  if (owner === null) throw noSuchTurnKey()
  return owner
}

const tenantInPath = (c: Ctx): string | undefined => c.req.param('tenant') ?? c.req.param('account_id')

/** Another tenant's resources get the error of unknown ones. Must not look up whether they exist. */
function foreign(c: Ctx): BrokerError {
  if (c.req.param('key_id') !== undefined) return noSuchTurnKey()
  return new BrokerError(c.req.param('account_id') === undefined ? 'not_found' : 'insufficient_scope')
}

/** Whether the snapshot alone may grant a read. It must never grant a write. */
export function snapshotGrants(snapshot: TenantSnapshot, caller: Caller, scope: Scope, now: number): boolean {
  if (caller.kind !== 'api-token' || snapshot.status === 'deleting') return false
  const token = snapshot.tokens.find(({ id }) => id === caller.id)
  if (!token?.scopes.includes(scope)) return false
  // No constant-time comparison needed: only a holder of the token can compute its digest.
  return token.digests.some(({ digest, until }) => digest === caller.digest && (until === null || until > now))
}
