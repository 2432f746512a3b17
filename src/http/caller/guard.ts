/**
 * Who may come in. Order of work: syntax, checksum, rates, the edge's snapshot; an object is asked last, and by the
 * operation itself: the Tenant has the last word on every caller. What it refused is remembered for ten seconds.
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
import { greet } from './cors.ts'
import { limitAddress, limitTenant } from './rateLimits.ts'

export interface Verdict {
  /** Runs the operation; if the Tenant refuses the token in it, the refusal is remembered. */
  readonly remembering: <T>(operation: () => Promise<T>) => Promise<T>
}

const NOTHING_TO_REMEMBER: Verdict = { remembering: (operation) => operation() }

export async function guard(c: Ctx, route: Route): Promise<Verdict> {
  if (route.access === 'public') return NOTHING_TO_REMEMBER
  if (route.access === 'client-token') {
    // The door reads the token itself: it may be in the body.
    greet(c)
    await limitAddress(c)
    return NOTHING_TO_REMEMBER
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

async function admitOperator(c: Ctx, operator: Caller): Promise<Verdict> {
  c.set('caller', operator)
  const tenant = tenantInPath(c) ?? (await ownerOfKey(c))
  if (tenant === undefined) return NOTHING_TO_REMEMBER
  if (!TenantId.safeParse(tenant).success || !(await tenantExists(c, tenant))) {
    throw new BrokerError('not_found', { detail: 'No such tenant.' })
  }
  c.set('tenant', tenant)
  return NOTHING_TO_REMEMBER
}

async function admitApiToken(c: Ctx, caller: Caller & { kind: 'api-token' }, scope: Scope): Promise<Verdict> {
  const { tenant } = caller
  const snapshot = await readEntry(c.env.CACHE, TenantSnapshot, { key: snapshotKey(tenant), tenant })
  if (snapshot && recognises(snapshot, caller)) await limitTenant(c, tenant)
  else await limitAddress(c)

  const edge = c.get('edge')
  const memory = `${caller.digest} ${scope}`
  const refused = edge.refusals.get(memory)
  if (refused) throw new BrokerError(refused)
  const refuse = (code: ErrorCode) => {
    edge.refusals.set(memory, code)
    return new BrokerError(code)
  }
  // Anybody can write a token for any tenant: no object is created for one that never was.
  if (!snapshot && !(await tenantExists(c, tenant))) throw refuse('invalid_token')

  const verdict: Verdict = {
    async remembering(operation) {
      try {
        return await operation()
      } catch (error) {
        const code = error instanceof BrokerError ? error.failure.code : undefined
        if (code === 'invalid_token' || code === 'insufficient_scope') throw refuse(code)
        throw error
      }
    },
  }
  if ((tenantInPath(c) ?? tenant) !== tenant) {
    const object = tenantObject(c, tenant)
    await verdict.remembering(() => call(object.authorize({ caller, scope, requestId: c.get('requestId') })))
    throw foreign(c)
  }
  c.set('caller', caller)
  c.set('tenant', tenant)
  if (snapshot) c.set('snapshot', snapshot)
  return verdict
}

/** Cloudflare's credential calls name a TURN key and no tenant: for an operator the Account knows whose it is. */
async function ownerOfKey(c: Ctx): Promise<string | undefined> {
  const uid = c.req.param('key_id')
  if (uid === undefined) return
  const owner = TurnKeyUid.safeParse(uid).success ? await call(accountObject(c).turnKeyOwner(uid)) : null
  if (owner === null) throw noSuchTurnKey()
  return owner
}

const tenantInPath = (c: Ctx): string | undefined => c.req.param('tenant') ?? c.req.param('account_id')

/** Another tenant's things do not exist. Nothing here looks at whether they do. */
function foreign(c: Ctx): BrokerError {
  if (c.req.param('key_id') !== undefined) return noSuchTurnKey()
  return new BrokerError(c.req.param('account_id') === undefined ? 'not_found' : 'insufficient_scope')
}

function recognises(snapshot: TenantSnapshot, caller: Caller & { kind: 'api-token' }): boolean {
  const token = snapshot.tokens.find(({ id }) => id === caller.id)
  // A digest is no secret worth timing: whoever can compute it holds the token.
  return token?.digests.some(({ digest }) => digest === caller.digest) ?? false
}

/** Whether the edge may say yes to a read by itself. */
export function edgeGrants(snapshot: TenantSnapshot, caller: Caller, scope: Scope, now: number): boolean {
  if (caller.kind !== 'api-token' || snapshot.status === 'deleting') return false
  const token = snapshot.tokens.find(({ id }) => id === caller.id)
  if (!token?.scopes.includes(scope)) return false
  return token.digests.some(({ digest, until }) => digest === caller.digest && (until === null || until > now))
}
