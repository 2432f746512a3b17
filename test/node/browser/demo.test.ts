// The demo page of `npm run dev`, as its visitor sees it in a real browser.
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { type DevPlace, DevServer, newPlace, removePlace } from '../support/devServer.ts'
import { chromiumIsInstalled, launchChromium } from './programs.ts'

const SOON = { timeout: 15_000, interval: 100 }
// What is missing is said, and in CI refused, by browser.test.ts.
const possible = chromiumIsInstalled() && turnServerIsInstalled()

describe.skipIf(!possible)('the demo page', () => {
  let place: DevPlace
  let server: DevServer
  let browser: Browser

  beforeAll(async () => {
    place = await newPlace()
    ;[server, browser] = await Promise.all([DevServer.start(place), launchChromium({ localhost: '127.0.0.1' })])
  })
  afterAll(async () => {
    await browser?.close()
    await server?.kill()
    if (place) removePlace(place)
  })

  const open = async (page: Page) => page.goto(`http://127.0.0.1:${place.demoPort}/demo`)
  const text = (page: Page, id: string) => page.locator(`#${id}`).innerText()

  it('The demo page gets ICE servers, relays messages, and counts down to the renewal', async () => {
    const page = await browser.newPage()
    const complaints: string[] = []
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
    await open(page)
    await expect.poll(() => text(page, 'path'), SOON).toBe('relay ↔ relay')
    await expect.poll(async () => Number(await text(page, 'received')), SOON).toBeGreaterThan(2)
    expect(await text(page, 'channel')).toBe('open')
    expect(await text(page, 'lost')).toBe('0')
    expect(await text(page, 'state-title')).toBe('ICE servers are current.')
    expect(await text(page, 'candidates')).toMatch(/relay\s+udp\s+127\.0\.0\.1:\d+\s+turn:127\.0\.0\.1:\d+/)
    const renews = async () => Number(/Renews in (\d+) s/.exec(await text(page, 'renews'))?.[1])
    const before = await renews()
    await expect.poll(renews, SOON).toBeLessThan(before)
    expect(complaints).toEqual([])
    await page.close()
  })

  it('The demo page calls as well when it is opened under the name localhost', async () => {
    const page = await browser.newPage()
    await page.goto(`http://localhost:${place.demoPort}/demo`)
    await expect.poll(() => text(page, 'path'), SOON).toBe('relay ↔ relay')
    await page.close()
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
    await open(page)
    await expect
      .poll(() => text(page, 'state'), SOON)
      .toMatch(
        /^No relay for now: STUN only\.\s+Cloudflare's API cannot be asked right now, so there is no relay to give\. Next/,
      )
    await expect.poll(() => text(page, 'path'), SOON).toBe('relay ↔ relay')
    expect(await text(page, 'state-title')).toBe('ICE servers are current.')
    await page.close()
  })

  it('The demo page says in plain words that the broker cannot be reached', async () => {
    const page = await browser.newPage()
    await page.route('**/ice-servers', (route) => route.abort())
    await open(page)
    await expect.poll(() => text(page, 'state'), SOON).toMatch(/^No ICE servers\.\s+The broker cannot be reached\.$/)
    await page.close()
  })
})
