// The demo page of `npm run dev`, as its visitor sees it in a real browser: a relayed call on a real TURN server, each button and
// what follows from it.
import type { Browser, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { EmulatorControl } from '../../../emulator/client.ts'
import { turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { type DevPlace, DevServer, newPlace, removePlace } from '../support/devServer.ts'
import { chromiumIsInstalled, launchChromium } from './programs.ts'

const SOON = { timeout: 30_000, interval: 100 }
const STORY_MS = 120_000
const LAST_OUTPUT_CHARACTERS = 3_000
const UP = /^The call is up: data flows through the relay\.\s/
const INTERRUPTED = /^The call is interrupted: nothing arrives\.\s/
// What is missing is said, and in CI refused, by browser.test.ts.
const possible = chromiumIsInstalled() && turnServerIsInstalled()

/** Each colour that the page shows, with the number of messages that had arrived by then. */
const NOTE_COLOURS = `
  const colours = (window.colours = [])
  const note = () => colours.push([document.getElementById('state').dataset.state, Number(document.getElementById('received').textContent)])
  new MutationObserver(note).observe(document, { attributes: true, attributeFilter: ['data-state'], subtree: true })`

describe.skipIf(!possible)('the demo page', { timeout: STORY_MS }, () => {
  let place: DevPlace
  let server: DevServer
  let browser: Browser
  let emulator: EmulatorControl

  beforeAll(async () => {
    place = await newPlace()
    ;[server, browser] = await Promise.all([DevServer.start(place), launchChromium({ localhost: '127.0.0.1' })])
    emulator = new EmulatorControl(`http://127.0.0.1:${place.emulatorPort}`)
  })
  beforeEach(async () => {
    await emulator.clearFaults()
    await Promise.all(['lift', 'resume'].map((action) => press(action)))
  })
  afterEach(async ({ task }) => {
    const pages = browser.contexts().flatMap((context) => context.pages())
    if (task.result?.state === 'fail') {
      for (const page of pages) console.log(await events(page).catch(String))
      console.log(server.output.slice(-LAST_OUTPUT_CHARACTERS))
    }
    await Promise.all(pages.map((page) => page.close()))
  })
  afterAll(async () => {
    await browser?.close()
    await server?.kill()
    if (place) removePlace(place)
  })

  const demo = (path = '') => `http://127.0.0.1:${place.demoPort}/demo${path}`
  /** What the page's button sends. */
  const press = (action: string, headers: Record<string, string> = { 'x-demo': '1' }) =>
    fetch(demo(`/${action}`), { method: 'POST', headers })
  const text = (page: Page, id: string) => page.locator(`#${id}`).innerText()
  const status = (page: Page) => text(page, 'state')
  const events = (page: Page) => text(page, 'events')
  const colour = (page: Page) => page.locator('#state').getAttribute('data-state')

  /** A new page with a call that is up. */
  async function openCall(): Promise<Page> {
    const page = await browser.newPage()
    await page.goto(demo())
    await expect.poll(() => status(page), SOON).toMatch(UP)
    return page
  }

  it('The demo page gets ICE servers, relays messages, and counts down to the renewal', async () => {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    await page.addInitScript(NOTE_COLOURS)
    await page.goto(demo())
    await expect.poll(() => text(page, 'path'), SOON).toBe('relay ↔ relay')
    await expect.poll(async () => Number(await text(page, 'received')), SOON).toBeGreaterThan(2)
    expect([await text(page, 'channel'), await text(page, 'data'), await text(page, 'lost')]).toEqual([
      'open',
      'flows',
      '0',
    ])
    await expect.poll(() => status(page), SOON).toMatch(UP)
    const colours = await page.evaluate<[string, number][]>('window.colours')
    expect(colours.at(-1)?.[0]).toBe('good')
    expect(colours.filter(([shown, received]) => shown === 'good' && received === 0)).toEqual([])
    expect(await text(page, 'candidates')).toMatch(/relay\s+udp\s+127\.0\.0\.1:\d+\s+turn:127\.0\.0\.1:\d+/)
    const renews = async () => Number(/Renews in (\d+) s/.exec(await text(page, 'renews'))?.[1])
    const before = await renews()
    await expect.poll(renews, SOON).toBeLessThan(before)
    expect(complaints).toEqual([])
  })

  it('The demo page calls as well when it is opened under the name localhost', async () => {
    const page = await browser.newPage()
    await page.goto(`http://localhost:${place.demoPort}/demo`)
    await expect.poll(() => text(page, 'path'), SOON).toBe('relay ↔ relay')
  })

  it('The demo page says in plain words that there is no relay, and calls once there is one', async () => {
    const page = await browser.newPage()
    let asked = 0
    await page.route('**/ice-servers', async (route) => {
      if (++asked > 2) return route.continue()
      const expiresAt = new Date(Date.now() + 2_000).toISOString()
      const iceServers = [{ urls: ['stun:127.0.0.1:1'] }]
      const json = { iceServers, ttl: 2, expiresAt, refreshAfter: 2, source: 'stun-only' }
      return route.fulfill({ status: 201, headers: { 'access-control-allow-origin': '*' }, json })
    })
    await page.goto(demo())
    await expect
      .poll(() => status(page), SOON)
      .toMatch(
        /^No relay for now: STUN only\.\s+Cloudflare's API cannot be asked right now, so there is no relay to give\. Next/,
      )
    await expect.poll(() => status(page), SOON).toMatch(UP)
  })

  it('The demo page says in plain words that the broker cannot be reached', async () => {
    const page = await browser.newPage()
    await page.route('**/ice-servers', (route) => route.abort())
    await page.goto(demo())
    await expect
      .poll(() => status(page), SOON)
      .toMatch(/^No ICE servers\.\s+The broker cannot be reached\. Next attempt/)
    expect(await colour(page)).toBe('bad')
  })

  it('The demo page without coturn says that nothing relays and how to install it, and tries no call', async () => {
    const page = await browser.newPage()
    // As the server writes it into the page where coturn is not installed.
    await page.route(demo('/page.js'), async (route) => {
      const response = await route.fetch()
      return route.fulfill({ response, body: `document.body.dataset.relays = 'no'\n${await response.text()}` })
    })
    await page.goto(demo())
    await expect.poll(() => status(page), SOON).toMatch(/^Nothing relays: coturn is not installed\./)
    expect([await status(page), await colour(page)]).toEqual([expect.stringContaining('Install it: '), 'degraded'])
    await page.click('#revoke')
    await expect.poll(() => events(page), SOON).toContain('The library learns of it with its next request.')
    await page.click('#restart')
    await expect.poll(() => events(page), SOON).toContain('There is no call whose ICE could be restarted.')
    expect(await text(page, 'candidates')).toBe('None yet.')
    expect(await text(page, 'no-call')).toBe('Not tried: nothing relays here.')
  })

  it('The demo page revokes its visitor: the relay ends, and the call comes back on a new credential', async () => {
    const page = await openCall()
    const before = await text(page, 'username')
    await page.click('#revoke')
    await expect.poll(() => status(page), SOON).toMatch(INTERRUPTED)
    expect([await text(page, 'data'), await colour(page)]).toEqual(['nothing arrives', 'degraded'])
    await expect.poll(() => status(page), SOON).toMatch(UP)
    expect(await text(page, 'username')).not.toBe(before)
    expect(await events(page)).toMatch(
      /The back end revoked all that this user has: \d+ credentials?\. The broker tells/,
    )
    expect(await events(page)).toMatch(/Nothing arrives any more, \d\.\d s after the click: the relay ended\./)
    expect(await text(page, 'lost')).toBe('0')
  })

  it('The demo page bans its visitor: the relay ends and nothing new is given, until the ban is lifted', async () => {
    const page = await openCall()
    await page.click('#ban')
    await expect.poll(() => text(page, 'data'), SOON).toBe('nothing arrives')
    // Without waiting for the browser to notice: the library of a new visit is refused in the same way.
    await page.reload()
    await expect.poll(() => status(page), SOON).toMatch(/^No ICE servers\.\s+This user is banned/)
    expect([await text(page, 'data'), await colour(page)]).toEqual(['nothing arrives', 'bad'])
    await expect.poll(() => text(page, 'ban'), SOON).toBe('Lift the ban')
    await page.click('#ban')
    await expect.poll(() => status(page), SOON).toMatch(UP)
    expect([await text(page, 'ban'), await events(page)]).toEqual([
      'Ban me',
      expect.stringContaining('The ban is lifted.'),
    ])
  })

  it('The demo page suspends the tenant: the call goes on, a new visit gets nothing, until the tenant is resumed', async () => {
    const page = await openCall()
    await page.click('#suspend')
    await expect.poll(() => text(page, 'suspend'), SOON).toBe('Resume the tenant')
    expect(await events(page)).toContain('The operator suspended the tenant')
    expect(await text(page, 'data')).toBe('flows')
    await page.reload()
    await expect.poll(() => status(page), SOON).toMatch(/^No ICE servers\.\s+The tenant is suspended/)
    await expect.poll(() => text(page, 'suspend'), SOON).toBe('Resume the tenant')
    await page.click('#suspend')
    await expect.poll(() => status(page), SOON).toMatch(UP)
  })

  it('The demo page breaks upstream: the call goes on, a revocation waits, and a new visit is told why it gets nothing', async () => {
    const page = await openCall()
    await page.click('#break-upstream')
    await expect.poll(() => text(page, 'break-upstream'), SOON).toMatch(/^Upstream fails for \d+ s$/)
    await page.click('#revoke')
    await expect.poll(() => events(page), SOON).toContain('It cannot tell Cloudflare now and tries again')
    expect([await text(page, 'data'), await status(page)]).toEqual(['flows', expect.stringMatching(/^The call is up/)])
    const other = await browser.newPage()
    await other.goto(demo())
    await expect.poll(() => status(other), SOON).toMatch(/^No ICE servers\.\s+Cloudflare's API .*Next attempt in/)
    expect((await emulator.log()).filter(({ fault }) => fault === 'status').length).toBeGreaterThan(1)
    await emulator.clearFaults()
    await expect.poll(() => status(other), SOON).toMatch(UP)
  })

  it('The demo page restarts ICE by keyboard on a narrow screen: nothing is lost, and nothing is cut off', async () => {
    const page = await openCall()
    await page.setViewportSize({ width: 390, height: 844 })
    await page.focus('#break-upstream')
    await page.keyboard.press('Tab')
    await page.keyboard.press('Enter')
    await expect.poll(() => text(page, 'restarts'), SOON).toBe('1')
    const received = Number(await text(page, 'received'))
    await expect.poll(async () => Number(await text(page, 'received')), SOON).toBeGreaterThan(received + 2)
    expect([await text(page, 'lost'), await status(page)]).toEqual(['0', expect.stringMatching(UP)])
    await expect.poll(() => page.locator('#candidates tr').count(), SOON).toBeGreaterThan(1)
    const wide = `[...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > innerWidth).map((it) => it.outerHTML)`
    expect(await page.evaluate(wide)).toEqual([])
  })

  it('The demo page acts for its own page on this machine only, and holds no token of tenant or operator', async () => {
    const actions = ['token', 'revoke', 'ban', 'suspend', 'break-upstream']
    for (const action of actions) expect((await press(action, {})).status).toBe(404)
    expect((await press('nothing-known')).status).toBe(404)
    const page = await openCall()
    const all = await page.evaluate(`Promise.all(performance.getEntriesByType('resource').filter(({ name }) =>
      name.startsWith(location.origin)).map(({ name }) => name.endsWith('/token') ? '' : fetch(name).then((it) => it.text())))`)
    expect(String(all) + (await page.content())).not.toMatch(/tb_demo_|Bearer/)
  })

  it('Npm run dev has printed one short line for each of these requests', () => {
    const printed = server.output.slice(server.output.indexOf('npm run example')).split('\n').slice(1)
    const lines = printed.filter((line) => line.trim() !== '')
    expect(lines.length).toBeGreaterThan(20)
    expect(lines.filter((line) => !/^\d{3} [A-Z]+ \/\S* \d+ ms( \w+)?$/.test(line))).toEqual([])
    expect(lines.some((line) => /^403 POST \/v1\/tenants\/demo\/ice-servers \d+ ms subject_banned$/.test(line))).toBe(
      true,
    )
  })
})
