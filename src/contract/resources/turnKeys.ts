/** TURN keys, in the shape of Cloudflare's own API (`/accounts/{account_id}/calls/turn_keys`). */
import * as z from 'zod'
import { Name, TurnKeyUid } from '../values.ts'

/** Cloudflare-shaped bodies ignore unknown fields. */
export const TurnKeyWrite = z.object({ name: Name.optional() })
export type TurnKeyWrite = z.infer<typeof TurnKeyWrite>

/** Where a TURN key stands, as list and get show it; the other states are not visible. */
export type VisibleState = 'active' | 'retiring' | 'missing'

/** `created` and `modified` are RFC 3339, as Cloudflare gave them. `state` is ours; Cloudflare's clients ignore it. */
export type TurnKeyView = {
  uid: string
  name: string
  created: string
  modified: string
  state: VisibleState
}

/** The create answer; `key`, the 64-character secret, only for a token with `turn_keys:reveal`. */
export type CreatedTurnKey = TurnKeyView & { key?: string }

/** The delete answer: what the key was. */
export type DeletedTurnKey = Omit<TurnKeyView, 'state'>

/** Rotation: the old key goes when its last credential has expired; with `revoke`, at once and its credentials with it. */
export const TurnKeyRotate = z.strictObject({ revoke: z.boolean().default(false) })
export type TurnKeyRotate = z.infer<typeof TurnKeyRotate>

/** The rotate answer: the new key, as a creation answers it, and what becomes of the old one. */
export type RotatedTurnKey = {
  key: CreatedTurnKey
  replaced: {
    uid: string
    state: 'retiring' | 'missing' | 'deleting' | 'deleted'
    /** When the last credential of the old key expires, as it stands now; `null`: nothing is waited for. */
    retiresAt: string | null
  }
}

/** A TURN key's secret, as Cloudflare shows it once. */
export const TurnKeySecret = z.string().regex(/^[\x21-\x7e]{64}$/, 'must be 64 visible ASCII characters')

/** A key that exists in the broker's account and that no tenant has; also a new secret for one that the tenant has. */
export const TurnKeyImport = z.strictObject({
  uid: TurnKeyUid,
  key: TurnKeySecret,
  /** Absent: as it is called at Cloudflare. */
  name: Name.exactOptional(),
})
export type TurnKeyImport = z.infer<typeof TurnKeyImport>
