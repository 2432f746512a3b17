// The proof of the pudding: what the running broker answers is taken to a real TURN server (coturn), by a TURN client from
// npm and once by coturn's own. Allocations, refusals, and relays that end when they are revoked.
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RTCPeerConnection } from 'werift'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import type { IceServersAnswer } from '../../../src/contract/resources/credentials.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

const WITHIN_MS = 8_000
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

  beforeAll(async () => {
    turnServer = await startTurnServer()
    broker = await startBroker({ turnServer })
    tenant = await broker.newTenant('acme', {
      scopes: ['turn_keys:write', 'client_tokens:create', 'credentials:revoke', 'credentials:issue'],
      policy: { reuse: false },
    })
    await ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'relays' })
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
    expect(await relaysForCoturnsClient({ ...login, credential: otherThan(login.credential) })).toBe(false)
    expect(await turnServer.relayed()).not.toContain(login.username)
  })

  it('A real TURN server refuses a credential that has expired, and ends the relay it had', async () => {
    const login = await iceServersFor('bob', 2)
    const call = await connect(login)
    expect(await turnServer.relayed()).toContain(login.username)
    await untilGone([login.username])
    await call.close()
    // coturn counts whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1_100))
    expect(await relaysForCoturnsClient(login)).toBe(false)
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
    return JSON.parse(text)
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

  async function untilGone(usernames: string[]): Promise<void> {
    await expect
      .poll(async () => (await turnServer.relayed()).filter((user) => usernames.includes(user)), { timeout: WITHIN_MS })
      .toEqual([])
  }
})

/** A second opinion: this client says at once when it is refused. */
async function relaysForCoturnsClient({ username, credential, urls }: TurnLogin): Promise<boolean> {
  const port = /:(\d+)\?/.exec(urls[0] ?? '')?.[1] ?? ''
  const options = ['-u', username, '-w', credential, '-p', port, '-y', '-c', '-n', '1', '-m', '1', '127.0.0.1']
  return promisify(execFile)('turnutils_uclient', options, { timeout: WITHIN_MS * 2 }).then(
    () => true,
    () => false,
  )
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

const otherThan = (password: string): string => (password.startsWith('A') ? 'B' : 'A') + password.slice(1)
