/** Routes of the audit trails: a tenant's for servers, the Account's for operators. */
import type { AuditFilter } from '../../contract/resources/auditEvents.ts'
import { AUDIT_FILTERS } from '../../contract/routes.ts'
import { malformed } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App, Ctx } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, call, tenantObject } from '../objects.ts'
import { readPage, writePage } from '../pages.ts'

const MAX_FILTER_CHARACTERS = 128

export function auditRoutes(app: App): void {
  mount(app, 'auditList', async (c) => {
    const filter = filterOf(c)
    const text = JSON.stringify(filter)
    const page = await readPage(c, 'auditList', text)
    return async () => {
      const list = await call(tenantObject(c, tenantOf(c)).listAuditEvents({ ...callOf(c), ...page, filter }))
      return c.json(await writePage(c, 'auditList', list, text))
    }
  })

  mount(app, 'accountAuditList', async (c) => {
    const filter = filterOf(c)
    const text = JSON.stringify(filter)
    const page = await readPage(c, 'accountAuditList', text)
    return async () => {
      const list = await call(accountObject(c).listAuditEvents({ ...page, filter }))
      return c.json(await writePage(c, 'accountAuditList', list, text))
    }
  })
}

/** The filters in a fixed order, so that a cursor does not depend on the order in the query. */
function filterOf(c: Ctx): AuditFilter {
  const given = AUDIT_FILTERS.flatMap((name) => {
    const value = c.req.query(name)
    if (value === undefined) return []
    if (value.length > MAX_FILTER_CHARACTERS)
      throw malformed(`${name}: must have at most ${MAX_FILTER_CHARACTERS} characters`)
    return [[name, value] as const]
  })
  return Object.fromEntries(given)
}
