/** Admin routes of API tokens. Only the answers of create and roll contain the token itself. */
import { ApiTokenCreate, ApiTokenRoll } from '../../contract/resources/apiTokens.ts'
import { ApiTokenId } from '../../contract/values.ts'
import { BrokerError } from '../../errors.ts'
import { readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App, Ctx } from '../context.ts'
import { idempotencyOf } from '../idempotencyKey.ts'
import { mount } from '../mount.ts'
import { call, callUnrepeatable, tenantObject } from '../objects.ts'
import { readPage, writePage } from '../pages.ts'

export function apiTokenRoutes(app: App): void {
  mount(app, 'apiTokenList', async (c) => {
    const page = await readPage(c, 'apiTokenList')
    return async () =>
      c.json(await writePage(c, 'apiTokenList', await call(tenantObject(c, tenantOf(c)).listApiTokens(page))))
  })

  mount(app, 'apiTokenCreate', async (c) => {
    const { value: input, hash } = await readJson(c, ApiTokenCreate)
    const creation = { ...callOf(c), input, idempotency: idempotencyOf(c, hash) }
    return async () => c.json(await callUnrepeatable(tenantObject(c, tenantOf(c)).createApiToken(creation)), 201)
  })

  mount(app, 'apiTokenDelete', (c) => async () => {
    await call(tenantObject(c, tenantOf(c)).deleteApiToken({ ...callOf(c), tokenId: tokenIdOf(c) }))
    return c.body(null, 204)
  })

  mount(app, 'apiTokenRoll', async (c) => {
    const { value } = await readJson(c, ApiTokenRoll)
    const roll = { ...callOf(c), tokenId: tokenIdOf(c), overlapSeconds: value.overlapSeconds }
    return async () => c.json(await callUnrepeatable(tenantObject(c, tenantOf(c)).rollApiToken(roll)))
  })
}

function tokenIdOf(c: Ctx): string {
  const id = ApiTokenId.safeParse(c.req.param('token_id'))
  if (!id.success) throw new BrokerError('not_found', { detail: 'No such API token.' })
  return id.data
}
