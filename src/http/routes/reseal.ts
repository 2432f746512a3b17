/** Operators' door to the root keys: order that everything moves to the one in front, and see how far it is. */
import { callOf } from '../call.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, ask } from '../objects.ts'

export function resealDoor(app: App): void {
  mount(app, 'resealOrder', (c) => async () => {
    const call = { ...callOf(c), to: c.get('config').rootKeys.current }
    return c.json(await ask(accountObject(c).orderReseal(call)), 202)
  })

  mount(app, 'resealProgress', (c) => async () => c.json(await ask(accountObject(c).resealProgress())))
}
