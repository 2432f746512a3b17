/** Admin routes of tenants, and the server route by which a tenant reads itself. */
import { TenantCreate, TenantPatch, TenantRestore, type TenantView } from '../../contract/resources/tenants.ts'
import { BrokerError } from '../../errors.ts'
import { readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App, Ctx } from '../context.ts'
import { idempotencyOf } from '../idempotencyKey.ts'
import { mount } from '../mount.ts'
import { accountObject, call, callUnrepeatable, tenantObject } from '../objects.ts'
import { readPage, writePage } from '../pages.ts'

export function tenantRoutes(app: App): void {
  mount(app, 'tenantSelf', (c) => async () => withEtag(c, await describe(c)))

  mount(app, 'tenantList', async (c) => {
    const page = await readPage(c, 'tenantList')
    return async () => c.json(await writePage(c, 'tenantList', await call(accountObject(c).listTenants(page))))
  })

  mount(app, 'tenantCreate', async (c) => {
    const { value: tenant, hash } = await readJson(c, TenantCreate)
    const creation = { ...callOf(c), tenant, idempotency: idempotencyOf(c, hash) }
    return async () => withEtag(c, await callUnrepeatable(accountObject(c).createTenant(creation)), 201)
  })

  mount(app, 'tenantGet', (c) => async () => withEtag(c, await describe(c)))

  mount(app, 'tenantPatch', async (c) => {
    const { value: patch } = await readJson(c, TenantPatch)
    const change = { ...callOf(c), patch, ifMatch: ifMatchOf(c) }
    return async () => withEtag(c, await call(tenantObject(c, tenantOf(c)).patch(change)))
  })

  mount(app, 'tenantDelete', (c) => {
    const cascade = c.req.query('cascade')
    if (cascade !== undefined && cascade !== 'true' && cascade !== 'false') {
      throw new BrokerError('invalid_request', { detail: 'cascade: must be true or false' })
    }
    return async () => {
      await call(tenantObject(c, tenantOf(c)).beginDeletion({ ...callOf(c), cascade: cascade === 'true' }))
      return c.json({ id: tenantOf(c), status: 'deleting' }, 202)
    }
  })

  mount(app, 'tenantRestore', async (c) => {
    const { value } = await readJson(c, TenantRestore)
    const restoration = { ...callOf(c), tenant: tenantOf(c), at: value.at ?? null }
    return async () => c.json(await callUnrepeatable(accountObject(c).restoreTenant(restoration)), 200)
  })
}

const describe = (c: Ctx): Promise<TenantView> =>
  call(tenantObject(c, tenantOf(c)).describe({ ...callOf(c), scope: 'tenant:read' }))

function withEtag(c: Ctx, tenant: TenantView, status: 200 | 201 = 200): Response {
  c.header('ETag', `"${tenant.version}"`)
  return c.json(tenant, status)
}

/** The version in `If-Match: "3"`; `undefined` for `*` or without the header, which match any version. */
function ifMatchOf(c: Ctx): number | undefined {
  const header = c.req.header('If-Match')
  if (header === undefined || header === '*') return
  const version = /^"(\d{1,15})"$/.exec(header)?.[1]
  if (version === undefined)
    throw new BrokerError('invalid_request', { detail: 'If-Match: must be a version in quotes, such as "3"' })
  return Number(version)
}
