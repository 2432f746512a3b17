/** TURN keys, in the shape of Cloudflare's own API (`/accounts/{account_id}/calls/turn_keys`). */
import * as z from 'zod'
import { Name } from './values.ts'

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
