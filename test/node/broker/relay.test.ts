// The proof of the pudding: what the running broker answers is taken to a real TURN server (coturn), by a TURN client from
// npm and once by coturn's own. Allocations, refusals, and relays that end when they are revoked.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RTCPeerConnection } from 'werift'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import type { IceServersAnswer } from '../../../src/contract/resources/credentials.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import { TurnClient, type Verdict } from '../support/turnClient.ts'

const WITHIN_MS = 8_000
const HEX = /^[0-9a-f]{96}$/
const UNAUTHORIZED = 401
const installed = turnServerIsInstalled()
if (!installed && process.env.CI) throw new Error('coturn is not installed, and in CI nothing is skipped')
if (!installed) console.log('skipped: coturn is not installed (Debian: apt-get install coturn)')

interface TurnLogin {
  username: string
  credential: string
  urls: string[]
}

describe.skipIf(!installed)('a real TURN server', () => {
  let turnServer: RunningTurnServer
  let broker: RunningBroker
  let tenant: { id: string; token: string }
  let keyUid: string

  beforeAll(async () => {
    turnServer = await startTurnServer()
    broker = await startBroker({ turnServer })
    tenant = await broker.newTenant('acme', {
      scopes: ['turn_keys:write', 'client_tokens:create', 'credentials:revoke', 'credentials:issue'],
      policy: { reuse: false },
    })
    const { result } = await ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'relays' })
    keyUid = (result as { uid: string }).uid // the contract is checked elsewhere
  })
  afterAll(async () => {
    await broker?.stop()
    await turnServer?.close()
  })

  it('A real TURN server relays for the ICE servers of the browser door, at both ends of a call', async () => {
    const login = await iceServersFor('alice', 600)
    const call = await connect(login)
    expect((await turnServer.relayed()).filter((user) => user === login.username)).toHaveLength(2)
    await call.close()
  })

  it("A real TURN server accepts them from coturn's own client too", async () => {
    expect(await relaysForCoturnsClient(await iceServersFor('carol', 600))).toBe(true)
  })

  it('A real TURN server refuses a changed password', async () => {
    const login = await iceServersFor('alice', 600)
    const changed = { ...login, credential: otherThan(login.credential) }
    expect(await allocation(changed)).toBe(UNAUTHORIZED)
    expect(await relaysForCoturnsClient(changed)).toBe(false)
    expect(await turnServer.relayed()).not.toContain(login.username)
  })

  it('A real TURN server takes credentials from its first moment on', async () => {
    const own = await startTurnServer()
    const login = { username: 'a'.repeat(96), credential: 'b'.repeat(96), urls: own.turn.urls }
    own.turn.admit(login, Date.now() + 60_000)
    expect(await allocation(login)).toBe('granted')
    await own.close()
  })

  it('A real TURN server gets credentials of hex, as from Cloudflare: a client may paste them into a URL', async () => {
    const { username, credential } = await iceServersFor('alice', 600)
    expect([username, credential]).toEqual([expect.stringMatching(HEX), expect.stringMatching(HEX)])
  })

  it('A real TURN server refuses a credential that has expired, and ends the relay it had', async () => {
    const login = await iceServersFor('bob', 2)
    const call = await connect(login)
    expect(await turnServer.relayed()).toContain(login.username)
    await untilGone([login.username])
    expect(await allocation(login)).toBe(UNAUTHORIZED)
    await call.close()
  })

  it.each([
    ['revoked by its username', (login: TurnLogin) => ask(revokePath(login), {}, 204)],
    ['of a revoked user', () => ask('/v1/tenants/acme/revocations', { subject: 'trudy' }, 202)],
    ['of a banned user', () => ask('/v1/tenants/acme/revocations', { subject: 'trudy', banUntil: inAnHour() }, 202)],
  ])('A real TURN server refuses a credential %s, and ends the relay it had', async (_, takeBack) => {
    const login = await iceServersFor('trudy', 600)
    const call = await connect(login)
    expect(await allocation(login)).toBe('granted')
    await takeBack(login)
    await untilGone([login.username])
    expect(await allocation(login)).toBe(UNAUTHORIZED)
    await call.close()
  })

  it('A real TURN server refuses to refresh an allocation whose credential was revoked', async () => {
    const login = await iceServersFor('walter', 600)
    const client = new TurnClient({ ...login, port: portOf(login.urls) })
    expect([await client.allocate(), await client.refresh()]).toEqual(['granted', 'granted'])
    await ask(revokePath(login), {}, 204)
    await untilGone([login.username])
    expect([await client.refresh(), await client.allocate()]).toEqual([UNAUTHORIZED, UNAUTHORIZED])
    expect(await relaysForCoturnsClient(login)).toBe(false)
    client.close()
  })

  it('A real TURN server ends every relay of a subject that is revoked, those of older credentials too, and no other', async () => {
    const logins = [await iceServersFor('mallory', 600), await iceServersFor('mallory', 500)]
    const other = await iceServersFor('dave', 600)
    expect(new Set(logins.map(({ username }) => username)).size).toBe(2)
    const calls = await Promise.all([...logins, other].map(connect))

    const revocation = await ask('/v1/tenants/acme/revocations', { subject: 'mallory' }, 202)
    expect(revocation.matched).toBe(2)
    await untilGone(logins.map(({ username }) => username))
    expect(await turnServer.relayed()).toContain(other.username)
    expect(await ask(`/v1/tenants/acme/revocations/${String(revocation.id)}`)).toMatchObject({
      revoked: 2,
      state: 'done',
    })
    await Promise.all(calls.map((call) => call.close()))
  })

  async function ask(route: string, body?: object, status = body ? 201 : 200): Promise<Record<string, unknown>> {
    const response = await fetch(broker.url + route, {
      method: body ? 'POST' : 'GET',
      headers: { authorization: `Bearer ${tenant.token}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const text = await response.text()
    expect(response.status, text).toBe(status)
    return text === '' ? {} : JSON.parse(text)
  }

  /** As a browser asks: a form, with a client token of its back end. */
  async function iceServersFor(subject: string, ttl: number): Promise<TurnLogin> {
    const { token } = await ask('/v1/tenants/acme/client-tokens', { subject })
    const body = new URLSearchParams({ access_token: String(token), ttl: String(ttl) })
    const response = await fetch(`${broker.url}/v1/tenants/acme/ice-servers`, { method: 'POST', body })
    const text = await response.text()
    expect(response.status, text).toBe(201)
    const { iceServers } = JSON.parse(text) as IceServersAnswer // the contract is checked elsewhere
    const turn = iceServers.find((server) => 'username' in server)
    if (!turn) throw new Error(`no TURN server in ${text}`)
    return turn
  }

  const revokePath = ({ username }: TurnLogin) => `/v1/turn/keys/${keyUid}/credentials/${username}/revoke`

  async function untilGone(usernames: string[]): Promise<void> {
    await expect
      .poll(async () => (await turnServer.relayed()).filter((user) => usernames.includes(user)), { timeout: WITHIN_MS })
      .toEqual([])
  }
})

const inAnHour = () => new Date(Date.now() + 3_600_000).toISOString()

/** What is answered to a new allocation. */
async function allocation(login: TurnLogin): Promise<Verdict> {
  const client = new TurnClient({ ...login, port: portOf(login.urls) })
  try {
    return await client.allocate()
  } finally {
    client.close()
  }
}

/** A second opinion: coturn's own client. After a refusal it sometimes waits for ever; then it is asked again. */
async function relaysForCoturnsClient(login: TurnLogin, attempts = 3): Promise<boolean> {
  const { username, credential, urls } = login
  const options = ['-u', username, '-w', credential, '-p', String(portOf(urls)), '-y', '-c', '-n', '1', '-m', '1']
  const ended = await promisify(execFile)('turnutils_uclient', [...options, '127.0.0.1'], { timeout: WITHIN_MS }).then(
    () => true,
    (error: { code: number | null }) => (error.code === null ? undefined : false),
  )
  if (ended === undefined && attempts === 1) throw new Error('turnutils_uclient does not end')
  return ended ?? relaysForCoturnsClient(login, attempts - 1)
}

/** A call over a data channel between two peers that are given this login. */
async function connect({ urls, username, credential }: TurnLogin): Promise<{ close: () => Promise<void> }> {
  const url = urls.find((each) => each.startsWith('turn:') && each.includes('transport=udp')) ?? ''
  const peer = () =>
    new RTCPeerConnection({ iceServers: [{ urls: url, username, credential }], iceTransportPolicy: 'relay' })
  const [caller, callee] = [peer(), peer()]
  const close = async () => {
    await Promise.all([caller.close(), callee.close()])
  }
  try {
    const channel = caller.createDataChannel('proof')
    const opened = new Promise<void>((resolve, reject) => {
      channel.stateChanged.subscribe((state) => {
        if (state === 'open') resolve()
      })
      setTimeout(() => reject(new Error('no relay')), WITHIN_MS / 2).unref()
    })
    // Awaited below; until then a refused login may have rejected it already.
    opened.catch(() => undefined)
    await caller.setLocalDescription(await caller.createOffer())
    if (caller.localDescription) await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription(await callee.createAnswer())
    if (callee.localDescription) await caller.setRemoteDescription(callee.localDescription)
    await opened
    return { close }
  } catch (error) {
    await close()
    throw error
  }
}

const portOf = (urls: string[]): number => Number(/:(\d+)\?/.exec(urls[0] ?? '')?.[1])

const otherThan = (password: string): string => (password.startsWith('A') ? 'B' : 'A') + password.slice(1)
