// The browser's side as one story: real Chromium, real coturn, the running broker, and the client library it serves.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import { type App, serveApp } from './pages.ts'
import { chromiumIsInstalled, firefoxIsInstalled, launchChromium, openInFirefox } from './programs.ts'

/** Short, so that a renewal comes within seconds: the broker has them asked for again after half of it. */
const TTL_SECONDS = 6
const SOON = { timeout: 15_000, interval: 50 }

const missing = (parts: Record<string, boolean>) => Object.keys(parts).filter((name) => !parts[name])
const needed = missing({ chromium: chromiumIsInstalled(), coturn: turnServerIsInstalled() })
const optional = missing({ 'firefox-esr': firefoxIsInstalled() })
const lacking = [...needed, ...optional]
if (lacking.length > 0 && process.env.CI) throw new Error(`not installed: ${lacking}; in CI nothing is skipped`)
if (lacking.length > 0) console.log(`skipped: not installed: ${lacking} (Debian packages of these names)`)

interface State {
  offers: number
  sent: number
  received: number
  missed: number
  channel: string
  ice: string
  told: { what: string; code?: string; source?: string; at: number; expiresAt?: number }[]
}

describe.skipIf(needed.length > 0)('a real browser', () => {
  let turnServer: RunningTurnServer
  let broker: RunningBroker
  let token: string
  let app: App
  let foreign: App
  let browser: Browser

  beforeAll(async () => {
    ;[turnServer, app, foreign, browser] = await Promise.all([
      startTurnServer(),
      serveApp(clientToken),
      serveApp(clientToken),
      launchChromium(),
    ])
    broker = await startBroker({ turnServer })
    const tenant = await broker.newTenant('acme', {
      scopes: ['turn_keys:write', 'client_tokens:create', 'credentials:revoke'],
      policy: { allowedOrigins: [app.origin] },
    })
    token = tenant.token
    await ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'calls' })
  })
  afterAll(async () => {
    await browser?.close()
    await broker?.stop()
    await Promise.all([turnServer?.close(), app?.close(), foreign?.close()])
  })

  // Side by side, each on a page and for a subject of its own: a renewal takes its time.
  describe.concurrent('with credentials of the broker', () => {
    it('A real browser with credentials of the broker keeps a relayed call alive over a renewal, and over a revocation', async ({
      expect,
    }) => {
      const page = await openPage(app, { subject: 'alice', policy: 'relay', ttl: 1.5 * TTL_SECONDS })
      expect(await pair(page)).toMatchObject({ local: 'relay', remote: 'relay' })
      const first = await username(page)
      expect(await turnServer.relayed()).toContain(first)

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
      await page.close()
    })

    it('A real browser with credentials of the broker keeps the list while the broker is away, tells when it has ended, and recovers by itself', async ({
      expect,
    }) => {
      const page = await openPage(app, { subject: 'dave', policy: 'relay', ttl: 1.5 * TTL_SECONDS })
      const whats = async () => (await state(page)).told.map(({ what }) => what)
      await page.route(`${broker.url}/v1/**`, (route) => route.abort())
      await expect.poll(whats, SOON).toContain('degraded')
      const { channel, missed } = await state(page)
      expect({ channel, missed }).toEqual({ channel: 'open', missed: 0 })
      expect(await whats()).not.toContain('error')

      await expect.poll(async () => (await whats()).at(-1), SOON).toBe('error')
      const { told } = await state(page)
      const last = told.filter(({ what }) => what === 'update').at(-1)
      expect(told.at(-1)?.at).toBeGreaterThanOrEqual(last?.expiresAt ?? Number.POSITIVE_INFINITY)
      expect(told.at(-1)?.code).toBe('network')

      await page.unroute(`${broker.url}/v1/**`)
      await expect.poll(async () => (await whats()).at(-1), SOON).toBe('update')
      const before = (await state(page)).received
      await expect.poll(async () => (await state(page)).received, SOON).toBeGreaterThan(before + 5)
      expect((await state(page)).channel).toBe('open')
      await page.close()
    })

    it('A real browser with credentials of the broker leaves a call that is not relayed alone over a renewal', async ({
      expect,
    }) => {
      const page = await openPage(app, { subject: 'bob', policy: 'all', ttl: TTL_SECONDS })
      expect(await pair(page)).toMatchObject({ local: 'host', remote: 'host' })
      const first = await username(page)
      await expect.poll(() => username(page), SOON).not.toBe(first)
      expect(await state(page)).toMatchObject({ offers: 1, channel: 'open', missed: 0 })
      await page.close()
    })

    it('A real browser with credentials of the broker takes the whole answer as a configuration', async ({
      expect,
    }) => {
      const page = await openPage(app)
      expect(await page.evaluate(`app.asItComes(${JSON.stringify({ url: door(), subject: 'carol' })})`)).toBe(2)
      await page.close()
    })

    it('A real browser with credentials of the broker gives a page of a foreign origin nothing', async ({ expect }) => {
      const page = await openPage(foreign)
      const got = await page.evaluate(`app.fetchText(${JSON.stringify({ url: door(), subject: 'mallory' })})`)
      expect(got).toBe('nothing')
      await page.close()
    })

    it.skipIf(optional.length > 0)(
      'A real browser with credentials of the broker is Firefox too: it takes the answer as it comes, and relays',
      async ({ expect }) => {
        const reported = app.reported()
        const options = { broker: broker.url, url: door(), subject: 'erin', ttl: 60 }
        const firefox = openInFirefox(`${app.origin}/#${encodeURIComponent(JSON.stringify(options))}`)
        try {
          expect(await reported).toEqual({ servers: 2, pair: { local: 'relay', remote: 'relay' }, missed: 0 })
        } finally {
          await firefox.close()
        }
      },
    )
  })

  it('A real browser has sent no preflight in all that', () => {
    const sent = broker.requests().map(({ method }) => method)
    expect(sent.filter((method) => method === 'POST').length).toBeGreaterThan(10)
    expect(sent.filter((method) => method === 'OPTIONS')).toEqual([])
  })

  const door = () => `${broker.url}/v1/tenants/acme/ice-servers`

  async function clientToken(subject: string): Promise<string> {
    return String((await ask('/v1/tenants/acme/client-tokens', { subject })).token)
  }

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

  /** A page of an app; with a call, that has been opened on it. */
  async function openPage({ origin }: App, call?: { subject: string; policy: string; ttl: number }): Promise<Page> {
    const page = await browser.newPage()
    await page.goto(origin)
    await page.waitForFunction('window.app !== undefined')
    if (call) await page.evaluate(`app.open(${JSON.stringify({ broker: broker.url, url: door(), ...call })})`)
    return page
  }
})

// What runs in the page is test/node/browser/page.js; it is spoken to in its own language.
const state = (page: Page) => page.evaluate<State>('app.state()')
const pair = (page: Page) => page.evaluate<{ local: string; remote: string } | undefined>('app.pair()')
const username = (page: Page) => page.evaluate<string>('app.username()')
