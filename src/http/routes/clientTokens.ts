/** Server route that creates client tokens. */
import { ClientTokenCreate } from '../../contract/resources/clientTokens.ts'
import { readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App } from '../context.ts'
import { mount } from '../mount.ts'
import { call, tenantObject } from '../objects.ts'

export function clientTokenRoutes(app: App): void {
  mount(app, 'clientTokenCreate', async (c) => {
    const { value: input } = await readJson(c, ClientTokenCreate)
    return async () => c.json(await call(tenantObject(c, tenantOf(c)).createClientToken({ ...callOf(c), input })), 201)
  })
}
