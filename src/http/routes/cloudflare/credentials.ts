/**
 * Cloudflare's credential calls, served under the same paths: a back end written for `rtc.live.cloudflare.com` works by
 * changing host and token. And the same credential in the dialect of draft-uberti-behave-turn-rest-00.
 */
import { GenerateRequest, Subject, type TurnRestAnswer, Username } from '../../../contract/resources/credentials.ts'
import { TurnKeyUid } from '../../../contract/values.ts'
import { BrokerError, noSuchTurnKey } from '../../../errors.ts'
import type { Issued, IssueRequest } from '../../../rpc/issuing.ts'
import { malformed, readJson } from '../../body.ts'
import { callOf, tenantOf } from '../../call.ts'
import type { App, Ctx } from '../../context.ts'
import { mount } from '../../mount.ts'
import { ask, tenantObject } from '../../objects.ts'
import { secondsLeft } from '../browser/iceServers.ts'

export function credentialTwins(app: App): void {
  /** 201 with a list of servers. */
  mount(app, 'credentialGenerateIceServers', async (c) => {
    const request = await generateRequest(c)
    return async () => {
      const { urls, username, credential } = await issued(c, request)
      const stun = urls.stun.length > 0 ? [{ urls: urls.stun }] : []
      return c.json({ iceServers: [...stun, { urls: urls.turn, username, credential }] }, 201)
    }
  })

  /** 201 with one server, an object: the older form. */
  mount(app, 'credentialGenerate', async (c) => {
    const request = await generateRequest(c)
    return async () => {
      const { urls, username, credential } = await issued(c, request)
      return c.json({ iceServers: { urls: [...urls.stun, ...urls.turn], username, credential } }, 201)
    }
  })

  mount(app, 'credentialRevoke', (c) => async () => {
    const username = Username.safeParse(c.req.param('username'))
    if (!username.success) throw new BrokerError('not_found', { detail: 'No such credential.' })
    const revocation = { ...callOf(c), uid: uidOf(c), username: username.data }
    await ask(tenantObject(c, tenantOf(c)).revokeByUsername(revocation))
    return c.body(null, 204)
  })

  mount(app, 'turnRest', (c) => {
    if (c.req.query('service') !== 'turn') throw malformed('service: must be "turn"')
    if (c.req.query('key') !== undefined || c.req.query('api') !== undefined) {
      throw malformed('the API token goes into the Authorization header, never into a URL')
    }
    const request = serverRequest(c, { subject: subjectOf(c.req.query('username')), ttl: null, keyId: null })
    return async () => {
      const it = await issued(c, request)
      const { username, credential: password, urls } = it
      return c.json({ username, password, ttl: secondsLeft(it, Date.now()), uris: urls.turn } satisfies TurnRestAnswer)
    }
  })
}

async function generateRequest(c: Ctx): Promise<IssueRequest> {
  const { value } = await readJson(c, GenerateRequest)
  return serverRequest(c, { subject: value.customIdentifier ?? null, ttl: value.ttl ?? null, keyId: uidOf(c) })
}

const serverRequest = (c: Ctx, what: Pick<IssueRequest, 'subject' | 'ttl' | 'keyId'>): IssueRequest => ({
  ...what,
  requestId: c.get('requestId'),
  asker: { kind: 'server', caller: callOf(c).caller },
  origin: null,
  reuse: 'never',
})

async function issued(c: Ctx, request: IssueRequest): Promise<Issued> {
  const it = await ask(tenantObject(c, tenantOf(c)).issue(request))
  // Without reuse there is no fallback: a server is given a credential or an error.
  if (it.source === 'stun-only') throw new BrokerError('internal')
  return it
}

function subjectOf(username: string | undefined): string | null {
  if (username === undefined) return null
  const subject = Subject.safeParse(username)
  if (!subject.success) throw malformed('username: must have 1 to 128 characters and no control characters')
  return subject.data
}

function uidOf(c: Ctx): string {
  const uid = TurnKeyUid.safeParse(c.req.param('key_id'))
  if (!uid.success) throw noSuchTurnKey()
  return uid.data
}
