/** Schemas of answers with TURN keys, in Cloudflare's envelope and without it. */
import * as z from 'zod'
import type { CreatedTurnKey, DeletedTurnKey, RotatedTurnKey, TurnKeyView } from '../resources/turnKeys.ts'
import { TurnKeyUid } from '../values.ts'
import { answerOf, Timestamp, UpstreamName, UpstreamTimestamp } from './shapes.ts'

/** More than a tenant can have: 1,000 keys by its policy, and those of them that rotation replaced. */
const MAX_LISTED = 2_000

const metadata = {
  uid: TurnKeyUid.describe("Cloudflare's id of the key."),
  name: UpstreamName.describe('The name at Cloudflare.'),
  created: UpstreamTimestamp.describe('When the key was created at Cloudflare.'),
  modified: UpstreamTimestamp.describe('When the key last changed at Cloudflare.'),
}
const view = {
  ...metadata,
  state: z
    .enum(['active', 'retiring', 'missing'])
    .describe(
      '`active`: mints. `retiring`: rotated, and deleted when its last credential has expired. `missing`: Cloudflare does not have it any more. Cloudflare’s own answer has no such field.',
    ),
}

export const TurnKey = answerOf<TurnKeyView>()(z.strictObject(view))

export const TurnKeyWithSecret = answerOf<CreatedTurnKey>()(
  z.strictObject({
    ...view,
    key: z
      .string()
      .regex(/^[\x21-\x7e]{64}$/)
      .exactOptional()
      .describe("The key's secret. Only for an API token with the scope `turn_keys:reveal`; never for an operator."),
  }),
)

export const DeletedKey = answerOf<DeletedTurnKey>()(z.strictObject(metadata))

export const Rotation = answerOf<RotatedTurnKey>()(
  z.strictObject({
    key: TurnKeyWithSecret.describe('The new key, which mints from now on.'),
    replaced: z
      .strictObject({
        uid: TurnKeyUid.describe('The uid of the old key.'),
        state: z.enum(['retiring', 'missing', 'deleting', 'deleted']).describe('What is becoming of the old key.'),
        retiresAt: Timestamp.nullable().describe(
          "When the old key's last live credential expires, as of now. `null`: it has no live credential.",
        ),
      })
      .describe('The old key.'),
  }),
)

const enveloped = <Schema extends z.ZodType>(result: Schema) =>
  z.strictObject({
    success: z.literal(true),
    errors: z.array(z.unknown()).max(0).describe('Always empty.'),
    messages: z.array(z.unknown()).max(0).describe('Always empty.'),
    result,
  })

export const TurnKeyListEnvelope = enveloped(z.array(TurnKey).max(MAX_LISTED))
export const TurnKeyEnvelope = enveloped(TurnKey)
export const TurnKeyWithSecretEnvelope = enveloped(TurnKeyWithSecret)
export const DeletedKeyEnvelope = enveloped(DeletedKey)
