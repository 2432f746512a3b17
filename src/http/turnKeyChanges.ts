/** What Cloudflare has no call for: rotating a TURN key, and importing one with its secret. */
import { TurnKeyImport } from '../contract/turnKeys.ts'
import { readJson } from './body.ts'
import { callOf, tenantOf } from './callOf.ts'
import type { App } from './context.ts'
import { idempotencyOf } from './idempotencyKey.ts'
import { mount } from './mount.ts'
import { ask, tenantObject } from './reach.ts'

export function turnKeyChangesDoor(app: App): void {
  mount(app, 'turnKeyImport', async (c) => {
    const { value: input, hash } = await readJson(c, TurnKeyImport)
    const call = { ...callOf(c), input, idempotency: idempotencyOf(c, hash) }
    return async () => c.json(await ask(tenantObject(c, tenantOf(c)).importTurnKey(call)), 201)
  })
}
