/** Schemas of answers with TURN keys, in Cloudflare's envelope and without it. */
import * as z from 'zod/mini'
import type { CreatedTurnKey, DeletedTurnKey, RotatedTurnKey, TurnKeyView } from '../resources/turnKeys.ts'
import { TurnKeyUid } from '../values.ts'
import { answerOf, Timestamp, UpstreamName, UpstreamTimestamp } from './shapes.ts'

/** More than a tenant can have: 1,000 keys by its policy, and those of them that rotation replaced. */
const MAX_LISTED = 2_000

const metadata = {
  uid: TurnKeyUid.check(z.describe("Cloudflare's id of the key.")),
  name: UpstreamName.check(z.describe('The name at Cloudflare.')),
  created: UpstreamTimestamp.check(z.describe('When the key was created at Cloudflare.')),
  modified: UpstreamTimestamp.check(z.describe('When the key last changed at Cloudflare.')),
}
const view = {
  ...metadata,
  state: z
    .enum(['active', 'retiring', 'missing'])
    .check(
      z.describe(
        '`active`: mints. `retiring`: rotated, and deleted when its last credential has expired. `missing`: Cloudflare does not have it any more. Cloudflare’s own answer has no such field.',
      ),
    ),
}

export const TurnKey = answerOf<TurnKeyView>()(z.strictObject(view))

export const TurnKeyWithSecret = answerOf<CreatedTurnKey>()(
  z.strictObject({
    ...view,
    key: z
      .exactOptional(z.string().check(z.regex(/^[\x21-\x7e]{64}$/)))
      .check(
        z.describe("The key's secret. Only for an API token with the scope `turn_keys:reveal`; never for an operator."),
      ),
  }),
)

export const DeletedKey = answerOf<DeletedTurnKey>()(z.strictObject(metadata))

export const Rotation = answerOf<RotatedTurnKey>()(
  z.strictObject({
    key: TurnKeyWithSecret.check(z.describe('The new key, which mints from now on.')),
    replaced: z
      .strictObject({
        uid: TurnKeyUid.check(z.describe('The uid of the old key.')),
        state: z
          .enum(['retiring', 'missing', 'deleting', 'deleted'])
          .check(z.describe('What is becoming of the old key.')),
        retiresAt: z
          .nullable(Timestamp)
          .check(
            z.describe(
              "When the old key's last live credential expires, as of now. `null`: it has no live credential.",
            ),
          ),
      })
      .check(z.describe('The old key.')),
  }),
)

const enveloped = <Schema extends z.ZodMiniType>(result: Schema) =>
  z.strictObject({
    success: z.literal(true),
    errors: z.array(z.unknown()).check(z.maxLength(0), z.describe('Always empty.')),
    messages: z.array(z.unknown()).check(z.maxLength(0), z.describe('Always empty.')),
    result,
  })

export const TurnKeyListEnvelope = enveloped(z.array(TurnKey).check(z.maxLength(MAX_LISTED)))
export const TurnKeyEnvelope = enveloped(TurnKey)
export const TurnKeyWithSecretEnvelope = enveloped(TurnKeyWithSecret)
export const DeletedKeyEnvelope = enveloped(DeletedKey)
