/** Server routes of revocations and bans. */
import { BanCreate, BanId, RevocationCreate, RevocationId } from '../../contract/resources/revocations.ts'
import { BrokerError } from '../../errors.ts'
import { readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App } from '../context.ts'
import { idempotencyOf } from '../idempotencyKey.ts'
import { mount } from '../mount.ts'
import { call, tenantObject } from '../objects.ts'
import { readPage, writePage } from '../pages.ts'

export function revocationRoutes(app: App): void {
  mount(app, 'revocationCreate', async (c) => {
    const { value: input, hash } = await readJson(c, RevocationCreate)
    const creation = { ...callOf(c), input, idempotency: idempotencyOf(c, hash) }
    return async () => c.json(await call(tenantObject(c, tenantOf(c)).createRevocation(creation)), 202)
  })

  mount(app, 'revocationGet', (c) => async () => {
    const id = RevocationId.safeParse(c.req.param('revocation_id'))
    if (!id.success) throw new BrokerError('not_found', { detail: 'No such revocation.' })
    return c.json(await call(tenantObject(c, tenantOf(c)).getRevocation({ ...callOf(c), id: id.data })))
  })

  mount(app, 'banList', async (c) => {
    const page = await readPage(c, 'banList')
    return async () =>
      c.json(
        await writePage(c, 'banList', await call(tenantObject(c, tenantOf(c)).listBans({ ...callOf(c), ...page }))),
      )
  })

  mount(app, 'banCreate', async (c) => {
    const { value: input } = await readJson(c, BanCreate)
    return async () => c.json(await call(tenantObject(c, tenantOf(c)).createBan({ ...callOf(c), input })), 201)
  })

  mount(app, 'banLift', (c) => async () => {
    const id = BanId.safeParse(c.req.param('ban_id'))
    if (!id.success) throw new BrokerError('not_found', { detail: 'No such ban.' })
    return c.json(await call(tenantObject(c, tenantOf(c)).liftBan({ ...callOf(c), id: id.data })))
  })
}
