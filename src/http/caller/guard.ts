/**
 * Authentication of every route, cheapest check first: syntax, checksum, rate limits, cached refusals, existence of the
 * tenant. Does not verify an API token: the Tenant does, in the operation itself. Its refusals are cached for 10 s.
 */
import { readAdminToken } from '../../auth/admin.ts'
import { readApiToken } from '../../auth/apiTokens.ts'
import { bearerOf } from '../../auth/bearer.ts'
import type { Caller } from '../../auth/caller.ts'
import { readEntry, snapshotKey, TenantSnapshot } from '../../cache/entries.ts'
import type { Route } from '../../contract/routes.ts'
import type { Scope } from '../../contract/scopes.ts'
import { TenantId, TurnKeyUid } from '../../contract/values.ts'
import { BrokerError, type ErrorCode, noSuchTurnKey } from '../../errors.ts'
import type { Ctx } from '../context.ts'
import { accountObject, call, tenantExists, tenantObject } from '../objects.ts'
import { setCachedCorsHeaders } from './cors.ts'
import { limitAddress, limitTenant } from './rateLimits.ts'

export interface Admission {
  /** Runs the operation. If the Tenant refuses the token, the refusal is cached. */
  readonly cacheRefusal: <T>(operation: () => Promise<T>) => Promise<T>
}

const NO_REFUSAL_CACHE: Admission = { cacheRefusal: (operation) => operation() }

export async function guard(c: Ctx, route: Route): Promise<Admission> {
  if (route.access === 'public') return NO_REFUSAL_CACHE
  if (route.access === 'client-token') {
    // The handler reads the token, because it may be in the body.
    setCachedCorsHeaders(c)
    await limitAddress(c)
    return NO_REFUSAL_CACHE
  }
  const bearer = bearerOf(c.req.header('Authorization'))
  if (bearer === undefined) throw new BrokerError('invalid_token')

  const apiToken = await readApiToken(bearer)
  if (route.access === 'admin' || !apiToken) {
    await limitAddress(c)
    const operator = await readAdminToken(c.get('config'), bearer, c.req.header('Host') ?? new URL(c.req.url).host)
    if (!operator) throw new BrokerError('invalid_token')
    return admitOperator(c, operator)
  }
  return admitApiToken(c, apiToken, route.access.scope)
}

async function admitOperator(c: Ctx, operator: Caller): Promise<Admission> {
  c.set('caller', operator)
  const tenant = tenantInPath(c) ?? (await ownerOfKey(c))
  if (tenant === undefined) return NO_REFUSAL_CACHE
  if (!TenantId.safeParse(tenant).success || !(await tenantExists(c, tenant))) {
    throw new BrokerError('not_found', { detail: 'No such tenant.' })
  }
  c.set('tenant', tenant)
  return NO_REFUSAL_CACHE
}

async function admitApiToken(c: Ctx, caller: Caller & { kind: 'api-token' }, scope: Scope): Promise<Admission> {
  const { tenant } = caller
  const snapshot = await readEntry(c.env.CACHE, TenantSnapshot, { key: snapshotKey(tenant), tenant })
  if (snapshot && hasToken(snapshot, caller)) await limitTenant(c, tenant)
  else await limitAddress(c)

  const { refusals } = c.get('isolateCache')
  const refusalKey = `${caller.digest} ${scope}`
  const refused = refusals.get(refusalKey)
  if (refused) throw new BrokerError(refused)
  const refuse = (code: ErrorCode) => {
    refusals.set(refusalKey, code)
    return new BrokerError(code)
  }
  // Anyone can forge a token of an unknown tenant. No object may be created for it.
  if (!snapshot && !(await tenantExists(c, tenant))) throw refuse('invalid_token')

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
  if (snapshot) c.set('snapshot', snapshot)
  return admission
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

function hasToken(snapshot: TenantSnapshot, caller: Caller & { kind: 'api-token' }): boolean {
  const token = snapshot.tokens.find(({ id }) => id === caller.id)
  // No constant-time comparison needed: only a holder of the token can compute its digest.
  return token?.digests.some(({ digest }) => digest === caller.digest) ?? false
}

/** Whether the snapshot alone may grant a read. It must never grant a write. */
export function snapshotGrants(snapshot: TenantSnapshot, caller: Caller, scope: Scope, now: number): boolean {
  if (caller.kind !== 'api-token' || snapshot.status === 'deleting') return false
  const token = snapshot.tokens.find(({ id }) => id === caller.id)
  if (!token?.scopes.includes(scope)) return false
  return token.digests.some(({ digest, until }) => digest === caller.digest && (until === null || until > now))
}
