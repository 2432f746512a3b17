/** Admin routes of the account: its state, and ordering a sweep. */
import { callOf } from '../call.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, call } from '../objects.ts'

export function accountRoutes(app: App): void {
  mount(app, 'accountGet', (c) => async () => c.json(await call(accountObject(c).describe())))

  mount(app, 'accountSweep', (c) => async () => c.json(await call(accountObject(c).orderSweep(callOf(c))), 202))
}
