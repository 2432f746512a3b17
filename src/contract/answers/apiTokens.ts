/** Schemas of answers with API tokens. */
import * as z from 'zod/mini'
import type { ApiTokenView, ApiTokenWithSecret } from '../resources/apiTokens.ts'
import { SCOPES, Scope } from '../scopes.ts'
import { ApiTokenId, NonEmptyName } from '../values.ts'
import { answerOf, pageOf, Timestamp } from './shapes.ts'

const view = {
  id: ApiTokenId.check(z.describe('The id of the token, which is part of the token.')),
  name: NonEmptyName,
  scopes: z.array(Scope).check(z.maxLength(SCOPES.length), z.meta({ uniqueItems: true })),
  expiresAt: z.nullable(Timestamp).check(z.describe('`null`: the token does not expire.')),
  createdAt: Timestamp,
  rolledAt: z.nullable(Timestamp).check(z.describe('When the secret last changed. `null`: never.')),
  previousValidUntil: z
    .nullable(Timestamp)
    .check(z.describe('Until when the secret before the last roll is accepted.')),
}

export const ApiToken = answerOf<ApiTokenView>()(z.strictObject(view))
export const ApiTokenPage = pageOf(ApiToken)

export const ApiTokenSecret = answerOf<ApiTokenWithSecret>()(
  z.strictObject({
    ...view,
    token: z
      .string()
      .check(
        z.regex(/^tb_[a-z0-9-]{1,32}_[0-9A-Za-z]{12}_[0-9A-Za-z]{60}$/),
        z.describe('The API token. It is shown in this answer and never again.'),
      ),
  }),
)
