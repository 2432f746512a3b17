/**
 * An ICE password on the ledger: sealed and opened here and nowhere else. The seal binds it to this tenant, this
 * credential, by its username, and this version.
 */
import { open, seal } from '../../crypto/seal.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantId } from '../core/tenantRow.ts'

/** What the column `sealed_version` is by default. Each reseal raises it. */
export const FIRST_SEALED_VERSION = 1

type Sealing = Pick<TenantContext, 'sql' | 'config'>

interface Place {
  readonly username: string
  readonly version: number
}

const placeOf = (ctx: Sealing, { username, version }: Place) =>
  ({ purpose: 'ice-password', tenant: tenantId(ctx), record: username, version }) as const

/** The password sealed with the current root key. */
export const sealPassword = (ctx: Sealing, place: Place, password: string): Promise<string> =>
  seal(ctx.config.rootKeys, placeOf(ctx, place), password)

/** The password in clear; `undefined` when it does not open. */
export const openPassword = (ctx: Sealing, place: Place, sealed: string): Promise<string | undefined> =>
  open(ctx.config.rootKeys, placeOf(ctx, place), sealed)

/** The same password sealed with the current root key, for the next version; `undefined` when it does not open. */
export async function resealPassword(
  ctx: Sealing,
  { username, version, sealed }: Place & { readonly sealed: string },
): Promise<string | undefined> {
  const password = await openPassword(ctx, { username, version }, sealed)
  return password === undefined ? undefined : sealPassword(ctx, { username, version: version + 1 }, password)
}
