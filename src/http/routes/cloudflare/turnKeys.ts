/**
 * TURN keys in Cloudflare's shape: `/client/v4/accounts/{account_id}/calls/turn_keys`, where `account_id` is the
 * tenant's id. A get is answered from KV if the Tenant confirmed the entry within the last 60 s.
 */
import { isFresh, readEntry, type TenantSnapshot, TurnKeyEntry, turnKeyEntryKey } from '../../../cache/entries.ts'
import { TurnKeyWrite } from '../../../contract/resources/turnKeys.ts'
import { TurnKeyUid } from '../../../contract/values.ts'
import { noSuchTurnKey } from '../../../errors.ts'
import type { LookedUp } from '../../../rpc/turnKeys.ts'
import { readAnyJson } from '../../body.ts'
import { callOf, tenantOf } from '../../call.ts'
import { snapshotGrants } from '../../caller/guard.ts'
import { suitingSnapshot } from '../../caller/snapshots.ts'
import type { App, Ctx } from '../../context.ts'
import { idempotencyOf } from '../../idempotencyKey.ts'
import { mount } from '../../mount.ts'
import { call, callUnrepeatable, tenantObject } from '../../objects.ts'
import { confirmAnswer, sdkRetryOf } from '../../sdkRetries.ts'

export function cloudflareTurnKeyRoutes(app: App): void {
  mount(app, 'turnKeyList', (c) => async () => {
    return c.json(enveloped(await call(tenantObject(c, tenantOf(c)).listTurnKeys(callOf(c)))))
  })

  mount(app, 'turnKeyCreate', async (c) => {
    const { value, hash } = await readAnyJson(c, TurnKeyWrite)
    const repeats = { idempotency: idempotencyOf(c, hash), attempt: sdkRetryOf(c, hash) }
    const creation = { ...callOf(c), name: value.name ?? '', ...repeats }
    return async () => {
      const created = await callUnrepeatable(tenantObject(c, tenantOf(c)).createTurnKey(creation))
      if (repeats.attempt) confirmAnswer(c, tenantOf(c))
      return c.json(enveloped(created), 201)
    }
  })

  mount(app, 'turnKeyGet', (c) => async () => {
    const uid = uidOf(c)
    const cached = await readFromKv(c, uid)
    if (cached) return c.json(enveloped(cached))
    const found = await call(tenantObject(c, tenantOf(c)).lookUpTurnKey({ ...callOf(c), uid }))
    c.set('cacheStatus', `${tenantStatus(found)}, edge; fwd=miss`)
    return c.json(enveloped(found.key))
  })

  mount(app, 'turnKeyUpdate', async (c) => {
    const { value } = await readAnyJson(c, TurnKeyWrite)
    const uid = uidOf(c)
    const renaming = { ...callOf(c), uid, name: value.name }
    return async () => c.json(enveloped(await call(tenantObject(c, tenantOf(c)).renameTurnKey(renaming))))
  })

  mount(app, 'turnKeyDelete', (c) => async () => {
    const uid = uidOf(c)
    return c.json(enveloped(await call(tenantObject(c, tenantOf(c)).removeTurnKey({ ...callOf(c), uid }))))
  })
}

/** The key from KV, if the tenant's snapshot and the key's entry are both fresh and grant the read. */
async function readFromKv(c: Ctx, uid: string): Promise<TurnKeyEntry['key'] | undefined> {
  const { caller } = callOf(c)
  if (caller.kind === 'operator') return
  const tenant = tenantOf(c)
  const now = Date.now()
  const grants = (snapshot: TenantSnapshot) => snapshotGrants(snapshot, caller, 'turn_keys:read', now)
  if (!(await suitingSnapshot(c, tenant, grants))) return
  const { turnKeyEntries: parsed } = c.get('isolateCache')
  const entry = await readEntry(c.env.CACHE, TurnKeyEntry, { key: turnKeyEntryKey(tenant, uid), tenant, parsed })
  // A tombstone (`key: null`) is a miss here: only the Tenant may answer that a key is gone.
  if (!entry?.key || entry.uid !== uid || entry.key.uid !== uid || !isFresh(entry, now)) return
  c.set('cacheStatus', `edge; hit; ttl=${Math.floor((entry.confirmedAt + 60_000 - now) / 1_000)}`)
  return entry.key
}

/** The Tenant's part of `Cache-Status` (RFC 9211). It comes first, because the Tenant is nearer to the origin. */
function tenantStatus({ from, ttlSeconds }: LookedUp): string {
  if (from === 'upstream') return 'tenant; fwd=stale; stored'
  return `tenant; hit; ttl=${ttlSeconds}${from === 'stale-copy' ? '; detail="upstream-unconfirmed"' : ''}`
}

/** A malformed `key_id` gets the same 404 as an unknown one. */
function uidOf(c: Ctx): string {
  const uid = TurnKeyUid.safeParse(c.req.param('key_id'))
  if (!uid.success) throw noSuchTurnKey()
  return uid.data
}

const enveloped = <T>(result: T) => ({ success: true, errors: [], messages: [], result })
