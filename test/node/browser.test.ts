// The browser's side as one story: real Chromium, real coturn, the running broker, and the client library it serves.
import { existsSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../emulator/turnServer.ts'
import { servePage } from './browser/pages.ts'
import { type RunningBroker, startBroker } from './runningBroker.ts'

const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
  '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1',
]
/** Short, so that a renewal comes within seconds: the broker has them asked for again after half of it. */
const TTL_SECONDS = 10
const SOON = { timeout: 15_000, interval: 100 }

const missing = [existsSync(CHROMIUM) ? '' : 'chromium', turnServerIsInstalled() ? '' : 'coturn'].filter(Boolean)
if (missing.length > 0 && process.env.CI) throw new Error(`not installed: ${missing}; in CI nothing is skipped`)
if (missing.length > 0) console.log(`skipped: not installed: ${missing} (Debian packages of these names)`)

interface State {
  offers: number
  sent: number
  received: number
  missed: number
  channel: string
  ice: string
  told: { what: string; code?: string; source?: string; at: number; expiresAt?: number }[]
}

describe.skipIf(missing.length > 0)('a real browser', () => {
  let turnServer: RunningTurnServer
  let broker: RunningBroker
  let token: string
  let app: Awaited<ReturnType<typeof servePage>>
  let foreign: Awaited<ReturnType<typeof servePage>>
  let browser: Browser

  beforeAll(async () => {
    ;[turnServer, app, foreign] = [await startTurnServer(), await servePage(), await servePage()]
    broker = await startBroker(turnServer)
    const tenant = await broker.newTenant('acme', {
      scopes: ['turn_keys:write', 'client_tokens:create', 'credentials:revoke'],
      policy: { allowedOrigins: [app.origin] },
    })
    token = tenant.token
    await ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'calls' })
    browser = await chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
  })
  afterAll(async () => {
    await browser?.close()
    await broker?.stop()
    await Promise.all([turnServer?.close(), app?.close(), foreign?.close()])
  })

  it('keeps a relayed call alive over renewal, revocation and an outage of the broker, without one preflight', async () => {
    const page = await openPage(app.origin, 'alice')
    await start(page, 'relay', TTL_SECONDS)
    expect(await pair(page)).toMatchObject({ local: 'relay', remote: 'relay' })
    const first = await username(page)
    expect(new Set(await turnServer.relayed())).toEqual(new Set([first]))

    // A renewal: the same channel, nothing lost, a new allocation under the new username.
    await expect.poll(() => username(page), SOON).not.toBe(first)
    const second = await username(page)
    await expect.poll(() => turnServer.relayed(), SOON).toContain(second)
    await expect.poll(async () => (await state(page)).offers, SOON).toBeGreaterThan(1)
    expect(await state(page)).toMatchObject({ channel: 'open', missed: 0 })
    expect(await pair(page)).toMatchObject({ local: 'relay', remote: 'relay' })

    // Revoked: the TURN server drops the relay, and the library brings the same channel back on another credential.
    const before = (await state(page)).received
    const revocation = await ask('/v1/tenants/acme/revocations', { subject: 'alice' }, 202)
    expect(Number(revocation.matched)).toBeGreaterThan(0)
    await expect.poll(() => username(page), SOON).not.toBe(second)
    await expect.poll(async () => (await state(page)).received, SOON).toBeGreaterThan(before + 20)
    expect((await state(page)).channel).toBe('open')

    // The broker is away: the list stays in use until it ends, then that is told, then it recovers by itself.
    await page.route(`${broker.url}/v1/**`, (route) => route.abort())
    await expect.poll(async () => (await state(page)).told.some(({ what }) => what === 'degraded'), SOON).toBe(true)
    expect((await state(page)).told.some(({ what }) => what === 'error')).toBe(false)
    await expect.poll(async () => (await state(page)).told.at(-1)?.what, SOON).toBe('error')
    const { told } = await state(page)
    const last = told.filter(({ what }) => what === 'update').at(-1)
    expect(told.at(-1)?.at).toBeGreaterThanOrEqual(last?.expiresAt ?? Number.POSITIVE_INFINITY)
    await page.unroute(`${broker.url}/v1/**`)
    await expect.poll(async () => (await state(page)).told.at(-1)?.what, { ...SOON, timeout: 70_000 }).toBe('update')

    expect(broker.requests().filter(({ method }) => method === 'OPTIONS')).toEqual([])
    await page.close()
  })

  it('leaves a call that is not relayed alone over a renewal', async () => {
    const page = await openPage(app.origin, 'bob')
    await start(page, 'all', TTL_SECONDS)
    expect(await pair(page)).toMatchObject({ local: 'host', remote: 'host' })
    const first = await username(page)
    await expect.poll(() => username(page), SOON).not.toBe(first)
    expect(await state(page)).toMatchObject({ offers: 1, channel: 'open', missed: 0 })
    await page.close()
  })

  it('takes the whole answer as a configuration, and gives a page of a foreign origin nothing', async () => {
    const page = await openPage(app.origin, 'carol')
    const servers = await page.evaluate(`app.asItComes(${JSON.stringify(door())})`)
    expect(servers).toBe(2)
    await page.close()

    const stranger = await openPage(foreign.origin, 'mallory')
    const got = await stranger.evaluate(`app.fetchText(${JSON.stringify(door())})`)
    expect(got).toBe('nothing')
    await stranger.close()
  })

  async function ask(route: string, body: object, status = 201): Promise<Record<string, unknown>> {
    const response = await fetch(broker.url + route, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    expect(response.status, text).toBe(status)
    return JSON.parse(text)
  }

  /** A page of the tenant's app, whose back end gives it client tokens. */
  async function openPage(origin: string, subject: string): Promise<Page> {
    const page = await browser.newPage()
    await page.exposeFunction(
      'clientToken',
      async () => (await ask('/v1/tenants/acme/client-tokens', { subject })).token,
    )
    await page.goto(origin)
    await page.waitForFunction('window.app !== undefined')
    return page
  }

  const door = () => `${broker.url}/v1/tenants/acme/ice-servers`

  const start = (page: Page, policy: string, ttl: number): Promise<void> =>
    page.evaluate(`app.open(${JSON.stringify({ broker: broker.url, url: door(), policy, ttl })})`)
})

// What runs in the page is test/node/browser/page.js; it is spoken to in its own language.
const state = (page: Page) => page.evaluate<State>('app.state()')
const pair = (page: Page) => page.evaluate<{ local: string; remote: string } | undefined>('app.pair()')
const username = (page: Page) => page.evaluate<string>('app.username()')
