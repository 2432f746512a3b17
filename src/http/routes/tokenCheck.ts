/** Admin routes of the check of API tokens: which check keys there are, and replacing the current one. */
import { callOf } from '../call.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, call } from '../objects.ts'

export function tokenCheckRoutes(app: App): void {
  mount(app, 'tokenCheckGet', (c) => async () => c.json(await call(accountObject(c).describeTokenCheck())))

  mount(app, 'tokenCheckReplace', (c) => async () => {
    return c.json(await call(accountObject(c).replaceCheckKey(callOf(c))), 202)
  })
}
