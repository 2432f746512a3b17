/**
 * A TURN key's secret: sealed and opened here and nowhere else. The seal binds it to this tenant, this key and this
 * version, so that a swapped row or an older version does not open.
 */
import { open, seal } from '../../crypto/seal.ts'
import { BrokerError } from '../../errors.ts'
import * as log from '../../storage/log.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantId } from '../core/tenantRow.ts'
import type { NamedTurnKeyRow } from './rows.ts'

/** Of a key that is created. Each reseal and each import of the same key raises it. */
export const FIRST_SECRET_VERSION = 1

type Sealing = Pick<TenantContext, 'sql' | 'config'>

interface Place {
  readonly uid: string
  readonly version: number
}

/** A TURN key with its secret in clear: lives as long as one call of Cloudflare. */
export interface OpenedKey {
  readonly uid: string
  readonly secret: string
}

const placeOf = (ctx: Sealing, { uid, version }: Place) =>
  ({ purpose: 'turn-key-secret', tenant: tenantId(ctx), record: uid, version }) as const

/** The secret sealed with the current root key. */
export const sealSecret = (ctx: Sealing, place: Place, secret: string): Promise<string> =>
  seal(ctx.config.rootKeys, placeOf(ctx, place), secret)

/** The secret in clear; `undefined` when it is gone or does not open. */
export async function openSecret(
  ctx: Sealing,
  { uid, sealed, secret_version }: Pick<NamedTurnKeyRow, 'uid' | 'sealed' | 'secret_version'>,
): Promise<string | undefined> {
  if (sealed === null) return
  return open(ctx.config.rootKeys, placeOf(ctx, { uid, version: secret_version }), sealed)
}

/** For one call of Cloudflare. Throws `internal`, and logs it, when the secret does not open. */
export async function openKey(ctx: Sealing, key: NamedTurnKeyRow): Promise<OpenedKey> {
  const secret = await openSecret(ctx, key)
  if (secret === undefined) {
    log.failure('turn_key_unreadable', { tenant: tenantId(ctx), operation: 'open' })
    throw new BrokerError('internal')
  }
  return { uid: key.uid, secret }
}

/** The same secret sealed with the current root key, for the next version; `undefined` when it does not open. */
export async function resealSecret(
  ctx: Sealing,
  { uid, version, sealed }: Place & { readonly sealed: string },
): Promise<string | undefined> {
  const secret = await openSecret(ctx, { uid, sealed, secret_version: version })
  return secret === undefined ? undefined : sealSecret(ctx, { uid, version: version + 1 }, secret)
}
