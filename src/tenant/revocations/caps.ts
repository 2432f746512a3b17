/**
 * How many bans and revocations a tenant may have, so that a token that may order them cannot fill the object. Called inside the
 * transaction that stores one. Throws `conflict`.
 */
import { MAX_OPEN_BANS, MAX_REVOCATIONS } from '../../contract/resources/revocations.ts'
import { BrokerError } from '../../errors.ts'
import { countOpenBans, endBans } from '../core/banRows.ts'
import type { ReadContext } from '../core/context.ts'
import { countTargets, forgetOldestRevocation, spanOfRevocations } from '../ledger/revocationRows.ts'

/** How many bans whose end has passed a new ban takes out of the number of open ones. */
const ENDED_A_BAN = 20
/** Beyond that number a new revocation deletes the oldest one that is done. */
const KEPT_REVOCATIONS = MAX_REVOCATIONS / 2
/** How many of the oldest revocations are looked at for one that is done. */
const LOOKED_AT = 10
/** Rows of `revocation_targets`. */
const MAX_WAITING = 1_000_000

export function requireRoomForBan({ sql, now }: ReadContext): void {
  endBans(sql, now(), ENDED_A_BAN)
  if (countOpenBans(sql) < MAX_OPEN_BANS) return
  throw new BrokerError('conflict', {
    detail: `A tenant has at most ${MAX_OPEN_BANS} bans in force; lift some, or wait until some have ended.`,
  })
}

export function requireRoomForRevocation({ sql }: ReadContext): void {
  // Each revocation of a subject waits for all its credentials, also for those that others wait for.
  if (countTargets(sql) >= MAX_WAITING) throw tooManyRevocations(`that wait for ${MAX_WAITING} credentials together`)
  if (spanOfRevocations(sql) < KEPT_REVOCATIONS) return
  forgetOldestRevocation(sql, LOOKED_AT)
  if (spanOfRevocations(sql) < MAX_REVOCATIONS) return
  throw tooManyRevocations(`in number ${MAX_REVOCATIONS}, and the oldest are running`)
}

const tooManyRevocations = (which: string) =>
  new BrokerError('conflict', {
    detail: `The tenant has revocations ${which}; wait until Cloudflare has confirmed some.`,
  })
