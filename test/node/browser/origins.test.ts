// Pages that are no web site, in real browsers: of file:, in a sandboxed frame, under the hosts of app shells, of
// extensions. What each sends as its Origin, and which policy lets it in.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import type { Browser, Frame, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import { firefoxExtension, unpackedExtension } from './extensions.ts'
import { type App, serveApp } from './pages.ts'
import {
  chromiumIsInstalled,
  firefoxIsInstalled,
  launchChromium,
  launchWithExtensions,
  openInFirefox,
} from './programs.ts'

const TAURI = 'http://tauri.localhost'
const PHONE = 'http://192.168.1.20:5173'
/** An edge that has just refused an origin asks again what the policy allows after 5 s. */
const SOON = { timeout: 15_000, interval: 500 }
/** By its name as a tenant. */
const POLICIES = {
  shells: ['tauri://localhost', TAURI, PHONE],
  opaque: ['null'],
  extensions: ['moz-extension://*'],
}
type Tenant = keyof typeof POLICIES
const TENANTS: readonly Tenant[] = ['shells', 'opaque', 'extensions']

/** The answers to a form, which is sent at once, and to a request with a header, which needs a preflight. */
type Answers = readonly [form: number | 'blocked', header: number | 'blocked']
const ALLOWED: Answers = [201, 201]
const BLOCKED: Answers = ['blocked', 'blocked']

// That a browser is missing is said, and in CI refused, by browser.test.ts.
describe.skipIf(!chromiumIsInstalled())('an app page', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-origins-'))
  const tokens = new Map<Tenant, string>()
  let broker: RunningBroker
  let app: App
  let browser: Browser
  let page: Page

  beforeAll(async () => {
    ;[broker, app] = await Promise.all([startBroker(), serveApp(() => Promise.resolve(''))])
    const there = new URL(app.origin).host
    browser = await launchChromium({ 'tauri.localhost:80': there, '192.168.1.20:5173': there })
    page = await browser.newPage()
    for (const id of TENANTS) {
      const scopes = ['turn_keys:write', 'client_tokens:create'] as const
      const { token } = await broker.newTenant(id, { scopes: [...scopes], policy: { allowedOrigins: POLICIES[id] } })
      tokens.set(id, token)
      await post(id, `/client/v4/accounts/${id}/calls/turn_keys`, { name: 'calls' })
    }
  })
  afterAll(async () => {
    await browser?.close()
    await Promise.all([broker?.stop(), app?.close()])
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  })

  it('An app page of file: is let in only by the policy that lists null', async () => {
    await page.goto(fileOf('page.html', '<!doctype html><title>a page of file:</title>'))
    expect(await page.evaluate('self.origin')).toBe('null')
    expect(await answersTo(page)).toEqual({ shells: BLOCKED, opaque: ALLOWED, extensions: BLOCKED })
    expect(await page.evaluate(viaLibrary(await doorOf('opaque')))).toBe('reused')
  })

  it('An app page in a sandboxed frame is let in only by the policy that lists null', async () => {
    await page.goto(app.origin)
    await page.setContent('<iframe sandbox="allow-scripts" srcdoc="<p>framed</p>"></iframe>')
    const frame = page.frames()[1]
    if (!frame) throw new Error('the page has no frame')
    expect(await frame.evaluate('self.origin')).toBe('null')
    expect(await answersTo(frame)).toEqual({ shells: BLOCKED, opaque: ALLOWED, extensions: BLOCKED })
  })

  it.each([TAURI, PHONE])('An app page under %s is let in only by the policy that lists it', async (origin) => {
    await page.goto(origin)
    expect(await page.evaluate('self.origin')).toBe(origin)
    expect(await answersTo(page)).toEqual({ shells: ALLOWED, opaque: BLOCKED, extensions: BLOCKED })
  })

  it('An app page of tauri: is refused by the policy that lists null', async () => {
    const statusAt = async (id: Tenant) => {
      const { url, token } = await doorOf(id)
      const headers = { authorization: `Bearer ${token}`, origin: 'tauri://localhost' }
      return (await fetch(url, { method: 'POST', headers })).status
    }
    expect(await Promise.all(TENANTS.map(statusAt))).toEqual([201, 403, 403])
  })

  it('An app page of an extension is let in only by its id, also where it needs no CORS', async () => {
    const privileges = { host_permissions: ['http://127.0.0.1/*'] }
    const folders = [unpackedExtension(folder, 'plain'), unpackedExtension(folder, 'privileged', privileges)]
    const context = await launchWithExtensions(path.join(folder, 'profile'), folders)
    try {
      const opened = [await context.newPage(), await context.newPage()] as const
      for (const each of opened) await each.goto('about:blank')
      while (context.serviceWorkers().length < folders.length) await context.waitForEvent('serviceworker')
      const pages = new Map<string, Page>()
      for (const [n, worker] of context.serviceWorkers().entries()) {
        await opened[n]?.goto(new URL('page.html', worker.url()).href)
        const name = await opened[n]?.title()
        if (name !== undefined && opened[n]) pages.set(name, opened[n])
      }
      const [plain, privileged] = [pages.get('plain'), pages.get('privileged')]
      if (!plain || !privileged) throw new Error(`pages of ${[...pages.keys()]}`)

      expect(await answersTo(plain)).toEqual({ shells: BLOCKED, opaque: BLOCKED, extensions: BLOCKED })
      const refused: Answers = [403, 403]
      expect(await answersTo(privileged)).toEqual({ shells: refused, opaque: refused, extensions: refused })
      const ids = await Promise.all([plain, privileged].map((each) => each.evaluate('self.origin')))
      expect(ids[0]).toMatch(/^chrome-extension:\/\/[a-p]{32}$/)
      const allowedOrigins = [...POLICIES.extensions, ...ids]
      const { status } = await broker.admin('PATCH', '/tenants/extensions', { policy: { allowedOrigins } })
      expect(status).toBe(200)
      await expect.poll(() => answersTo(plain), SOON).toMatchObject({ shells: BLOCKED, extensions: ALLOWED })
      expect(await answersTo(privileged)).toMatchObject({ shells: refused, extensions: ALLOWED })
    } finally {
      await context.close()
    }
  })

  it.skipIf(!firefoxIsInstalled())(
    'An app page of a Firefox extension is let in only by moz-extension://*',
    async () => {
      const id = 'origins@turn-broker.test'
      const doors = Object.fromEntries(
        await Promise.all(TENANTS.map(async (each) => [each, await doorOf(each)] as const)),
      )
      const reported = app.reported()
      const file = firefoxExtension(id, reporting(doors, `${app.origin}/report`))
      const firefox = openInFirefox('about:blank', { id, file })
      try {
        expect(await reported).toEqual({
          origin: expect.stringMatching(/^moz-extension:\/\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/),
          answers: { shells: BLOCKED, opaque: BLOCKED, extensions: ALLOWED },
        })
      } finally {
        await firefox.close()
      }
    },
  )

  /** What a page is answered at each tenant's door with a good client token. */
  async function answersTo(where: Page | Frame): Promise<Record<string, Answers>> {
    const rows = TENANTS.map(async (id) => [id, await where.evaluate(askBothWays, await doorOf(id))] as const)
    return Object.fromEntries(await Promise.all(rows))
  }

  async function doorOf(id: Tenant): Promise<Door> {
    const { token } = await post(id, `/v1/tenants/${id}/client-tokens`, { subject: 'ann' })
    return {
      library: `${broker.url}/client.js`,
      url: `${broker.url}/v1/tenants/${id}/ice-servers`,
      token: String(token),
    }
  }

  async function post(id: Tenant, route: string, body: object): Promise<Record<string, unknown>> {
    const headers = { authorization: `Bearer ${tokens.get(id)}`, 'content-type': 'application/json' }
    const response = await fetch(broker.url + route, { method: 'POST', headers, body: JSON.stringify(body) })
    const text = await response.text()
    expect(response.status, text).toBe(201)
    return JSON.parse(text)
  }

  function fileOf(name: string, text: string): string {
    writeFileSync(path.join(folder, name), text)
    return pathToFileURL(path.join(folder, name)).href
  }
})

interface Door {
  readonly library: string
  readonly url: string
  readonly token: string
}

/** Runs in the page. */
async function askBothWays({ url, token }: Door): Promise<Answers> {
  const ask = async (init: RequestInit) => {
    try {
      return (await fetch(url, { method: 'POST', ...init })).status
    } catch {
      return 'blocked' as const
    }
  }
  const form = await ask({ body: new URLSearchParams({ access_token: token }) })
  return [form, await ask({ headers: { authorization: `Bearer ${token}` } })]
}

/** As text: a dynamic import in a function here would be one of the test runner. */
const viaLibrary = ({ library, url, token }: Door) => `(async () => {
  const { createIceServers } = await import(${JSON.stringify(library)})
  const ice = createIceServers({ url: ${JSON.stringify(url)}, getToken: () => ${JSON.stringify(token)} })
  return (await ice.get().finally(() => ice.stop())).source
})()`

/** What an extension runs at its start. `no-cors`: the report is sent and its answer not read. */
const reporting = (doors: Record<string, Door>, to: string) => `
const askBothWays = ${askBothWays}
;(async () => {
  const answers = {}
  for (const [id, door] of Object.entries(${JSON.stringify(doors)})) answers[id] = await askBothWays(door)
  await fetch(${JSON.stringify(to)}, { method: 'POST', mode: 'no-cors', body: JSON.stringify({ origin: self.origin, answers }) })
})()`
