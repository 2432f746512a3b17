/** Asking upstream for a credential: through the gate, again while it makes sense, within one deadline. Stores nothing. */

import type { Minted } from '../cloudflare/credentials.ts'
import { failureOf } from '../cloudflare/failures.ts'
import type { NoReply } from '../cloudflare/reply.ts'
import { open } from '../crypto/seal.ts'
import { BrokerError, errorOf } from '../errors.ts'
import * as log from '../storage/log.ts'
import type { MintInFlight, TenantParts } from './parts.ts'
import { tenantRecord } from './record.ts'
import type { NamedTurnKeyRow } from './turnKeyRows.ts'

/** Leaves time, within the route's 5 s, for the commit and the way back. */
export const MINT_DEADLINE_MS = 4_500
/** One hung connection must not use up the time of the attempts after it. */
const ATTEMPT_MS = 1_800
const MAX_RETRIES = 3
const FIRST_PAUSE_MS = 80

/** A TURN key with its secret in clear: lives as long as one call upstream. */
export interface OpenedKey {
  readonly uid: string
  readonly secret: string
}

export async function openKey(parts: TenantParts, key: NamedTurnKeyRow): Promise<OpenedKey> {
  const { id: tenant } = tenantRecord(parts)
  const place = { purpose: 'turn-key-secret', tenant, record: key.uid, version: key.secret_version } as const
  const secret = key.sealed === null ? undefined : await open(parts.config.rootKeys, place, key.sealed)
  if (secret === undefined) {
    log.failure('turn_key_unreadable', { tenant, operation: 'open' })
    throw new BrokerError('internal')
  }
  return { uid: key.uid, secret }
}

/** Upstream does not take this key's secret: perhaps it has no such key any more. */
export class KeyRefused extends BrokerError {
  readonly uid: string
  constructor(uid: string) {
    super('upstream_failed')
    this.uid = uid
  }
}

interface MintInput {
  readonly ttl: number
  readonly customIdentifier: string | undefined
  /** When the caller must have been answered. */
  readonly until: number
  readonly flight: Pick<MintInFlight, 'replaced'>
}

/** A mint may be repeated: a credential whose answer was lost is known to nobody. `undefined`: its key was replaced. */
export async function mintUpstream(
  parts: TenantParts,
  key: OpenedKey,
  { ttl, customIdentifier, until, flight }: MintInput,
): Promise<{ minted: Minted; begunAt: number } | undefined> {
  for (let retry = 0; ; retry++) {
    let begunAt = 0
    const reply = await parts.mints.gate.through(until - parts.now(), async () => {
      begunAt = parts.now()
      // The turn may have come late: a key that was replaced meanwhile is not asked.
      if (flight.replaced) return
      const deadlineMs = Math.max(1, Math.min(ATTEMPT_MS, until - begunAt))
      return parts.credentials.mint(key, { ttl, customIdentifier }, deadlineMs)
    })
    if (reply?.kind === 'ok') return { minted: reply.value, begunAt }
    if (reply === undefined || flight.replaced) return
    const pause = FIRST_PAUSE_MS * 2 ** retry * (0.5 + Math.random())
    if (reply.kind === 'refused') throw new KeyRefused(key.uid)
    if (!isPassing(reply) || retry >= MAX_RETRIES || parts.now() + pause >= until) throw errorOf(failureOf(reply))
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}

/** A fault that may be over in a moment: not a refusal, and not an answer that was understood to be wrong. */
const isPassing = (reply: NoReply): boolean => reply.kind === 'doubtful' && reply.reason !== 'malformed'
