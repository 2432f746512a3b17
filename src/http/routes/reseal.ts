/** Operators' door to the root keys: order that everything moves to the one in front, and see how far it is. */
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
