/** Admin routes of a reseal (moving every secret to the current root key): order one, and read its progress. */
import { callOf } from '../call.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, call } from '../objects.ts'

export function resealRoutes(app: App): void {
  mount(app, 'resealOrder', (c) => async () => {
    const order = { ...callOf(c), to: c.get('config').rootKeys.current }
    return c.json(await call(accountObject(c).orderReseal(order)), 202)
  })

  mount(app, 'resealProgress', (c) => async () => c.json(await call(accountObject(c).resealProgress())))
}
