/**
 * Cloudflare's credential routes under the same paths. A back end written for `rtc.live.cloudflare.com` only changes
 * host and token.
 */
import { GenerateRequest, Username } from '../../../contract/resources/credentials.ts'
import { TurnKeyUid } from '../../../contract/values.ts'
import { BrokerError, noSuchTurnKey } from '../../../errors.ts'
import type { IssueRequest } from '../../../rpc/issuing.ts'
import { readAnyJson } from '../../body.ts'
import { callOf, tenantOf } from '../../call.ts'
import type { App, Ctx } from '../../context.ts'
import { mount } from '../../mount.ts'
import { call, tenantObject } from '../../objects.ts'
import { issueToServer, serverRequest } from '../../serverCredential.ts'

export function cloudflareCredentialRoutes(app: App): void {
  /** Answers 201 with an array of servers. */
  mount(app, 'credentialGenerateIceServers', async (c) => {
    const request = await generateRequest(c)
    return async () => {
      const { urls, username, credential } = await issueToServer(c, request)
      const stun = urls.stun.length > 0 ? [{ urls: urls.stun }] : []
      return c.json({ iceServers: [...stun, { urls: urls.turn, username, credential }] }, 201)
    }
  })

  /** Answers 201 with one server as an object: Cloudflare's older form. */
  mount(app, 'credentialGenerate', async (c) => {
    const request = await generateRequest(c)
    return async () => {
      const { urls, username, credential } = await issueToServer(c, request)
      return c.json({ iceServers: { urls: [...urls.stun, ...urls.turn], username, credential } }, 201)
    }
  })

  mount(app, 'credentialRevoke', (c) => async () => {
    const username = Username.safeParse(c.req.param('username'))
    if (!username.success) throw new BrokerError('not_found', { detail: 'No such credential.' })
    const revocation = { ...callOf(c), uid: uidOf(c), username: username.data }
    await call(tenantObject(c, tenantOf(c)).revokeByUsername(revocation))
    return c.body(null, 204)
  })
}

async function generateRequest(c: Ctx): Promise<IssueRequest> {
  const { value } = await readAnyJson(c, GenerateRequest)
  const { customIdentifier: subject = null, ttl: requestedTtlSeconds = null } = value
  return serverRequest(c, { subject, requestedTtlSeconds, keyId: uidOf(c) })
}

function uidOf(c: Ctx): string {
  const uid = TurnKeyUid.safeParse(c.req.param('key_id'))
  if (!uid.success) throw noSuchTurnKey()
  return uid.data
}
