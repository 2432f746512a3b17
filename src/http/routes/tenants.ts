/** Admin routes of tenants, and the server route by which a tenant reads itself. */
import { prepareIssuers } from '../../auth/issuerSetUp.ts'
import type { PolicyPatch } from '../../contract/policy/policy.ts'
import {
  TenantCreate,
  TenantPatch,
  TenantRestore,
  type TenantView,
  withWarnings,
} from '../../contract/resources/tenants.ts'
import { BrokerError, errorOf } from '../../errors.ts'
import { readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App, Ctx } from '../context.ts'
import { idempotencyOf } from '../idempotencyKey.ts'
import { upstream } from '../isolateCache.ts'
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
    const idempotency = idempotencyOf(c, hash)
    return async () => {
      const { policy, ...prepared } = await preparePolicy(tenant.policy)
      const wanted = policy ? { ...tenant, policy } : tenant
      // A refusal goes along: a repeat is answered what the first request was.
      const creation = { ...callOf(c), ...prepared, tenant: wanted, idempotency }
      return withEtag(c, await callUnrepeatable(accountObject(c).createTenant(creation)), 201)
    }
  })

  mount(app, 'tenantGet', (c) => async () => withEtag(c, await describe(c)))

  mount(app, 'tenantPatch', async (c) => {
    const { value: patch } = await readJson(c, TenantPatch)
    const change = { ...callOf(c), ifMatch: ifMatchOf(c) }
    return async () => {
      const { policy, warnings, refusal } = await preparePolicy(patch.policy)
      if (refusal) throw errorOf(refusal)
      const wanted = policy === undefined ? patch : { ...patch, policy }
      const tenant = await call(tenantObject(c, tenantOf(c)).patch({ ...change, patch: wanted }))
      return withEtag(c, withWarnings(tenant, warnings))
    }
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

/** The policy as it is to be stored, what works badly in it, and why it may not be stored. */
async function preparePolicy<T extends PolicyPatch | null | undefined>(policy: T) {
  if (!policy?.issuers?.length) return { policy, warnings: [], refusal: undefined }
  const { issuers, ...found } = await prepareIssuers(upstream, policy.issuers)
  return { ...found, policy: { ...policy, issuers } }
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
