/** Routes of TURN keys that Cloudflare's API does not have: rotating a key, and importing one with its secret. */
import { TurnKeyImport, TurnKeyRotate } from '../../contract/resources/turnKeys.ts'
import { TurnKeyUid } from '../../contract/values.ts'
import { noSuchTurnKey } from '../../errors.ts'
import { readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App } from '../context.ts'
import { idempotencyOf } from '../idempotencyKey.ts'
import { mount } from '../mount.ts'
import { call, callUnrepeatable, tenantObject } from '../objects.ts'
import { confirmAnswer, sdkRetryOf } from '../sdkRetries.ts'

export function turnKeyRoutes(app: App): void {
  mount(app, 'turnKeyRotate', async (c) => {
    const uid = TurnKeyUid.safeParse(c.req.param('key_id'))
    if (!uid.success) throw noSuchTurnKey()
    const { value, hash } = await readJson(c, TurnKeyRotate)
    const repeats = { idempotency: idempotencyOf(c, hash), attempt: sdkRetryOf(c, hash) }
    const rotation = { ...callOf(c), uid: uid.data, revoke: value.revoke, ...repeats }
    return async () => {
      const rotated = await callUnrepeatable(tenantObject(c, tenantOf(c)).rotateTurnKey(rotation))
      if (repeats.attempt) confirmAnswer(c, tenantOf(c))
      return c.json(rotated, 201)
    }
  })

  mount(app, 'turnKeyImport', async (c) => {
    const { value: input, hash } = await readJson(c, TurnKeyImport)
    const request = { ...callOf(c), input, idempotency: idempotencyOf(c, hash) }
    return async () => c.json(await call(tenantObject(c, tenantOf(c)).importTurnKey(request)), 201)
  })
}
