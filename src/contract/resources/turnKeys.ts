/** Schema of TURN keys, in the shape of Cloudflare's API (`/accounts/{account_id}/calls/turn_keys`). */
import * as z from 'zod/mini'
import { Name, TurnKeyUid } from '../values.ts'

/** Unknown fields are ignored, as Cloudflare does. */
export const TurnKeyWrite = z.object({ name: z.optional(Name) })
export type TurnKeyWrite = z.infer<typeof TurnKeyWrite>

/** The states that list and get show. Keys in other states are not visible. */
export type VisibleState = 'active' | 'retiring' | 'missing'

/** `created` and `modified` are RFC 3339, from Cloudflare. `state` is the broker's; Cloudflare's clients ignore it. */
export type TurnKeyView = {
  uid: string
  name: string
  created: string
  modified: string
  state: VisibleState
}

/** The create answer. `key` is the 64-character secret, only for a token with `turn_keys:reveal`. */
export type CreatedTurnKey = TurnKeyView & { key?: string }

/** The delete answer: the key's last metadata. */
export type DeletedTurnKey = Omit<TurnKeyView, 'state'>

/** Rotation: the old key is deleted when its last credential has expired. With `revoke`, both end at once. */
export const TurnKeyRotate = z.strictObject({ revoke: z._default(z.boolean(), false) })
export type TurnKeyRotate = z.infer<typeof TurnKeyRotate>

/** The rotate answer: the new key, as in a create answer, and the state of the old key. */
export type RotatedTurnKey = {
  key: CreatedTurnKey
  replaced: {
    uid: string
    state: 'retiring' | 'missing' | 'deleting' | 'deleted'
    /** When the old key's last live credential expires, as of now; `null`: no live credential. */
    retiresAt: string | null
  }
}

/** A TURN key's secret, in the form in which Cloudflare shows it once. */
export const TurnKeySecret = z.string().check(z.regex(/^[\x21-\x7e]{64}$/, 'must be 64 visible ASCII characters'))

/** Imports a key of the account that belongs to no tenant, or stores a new secret for the tenant's own key. */
export const TurnKeyImport = z.strictObject({
  uid: TurnKeyUid,
  key: TurnKeySecret,
  /** Absent: the name at Cloudflare. */
  name: z.exactOptional(Name),
})
export type TurnKeyImport = z.infer<typeof TurnKeyImport>
