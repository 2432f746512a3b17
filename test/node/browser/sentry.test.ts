// A page with the real Sentry, which adds its tracing headers to every request for the broker's host: Chromium asks the broker
// whether it may. Needs no TURN server.
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import { type App, serveApp } from './pages.ts'
import { chromiumIsInstalled, launchChromium } from './programs.ts'

const isMissing = !chromiumIsInstalled()
if (isMissing && process.env.CI) throw new Error('not installed: chromium; in CI nothing is skipped')
if (isMissing) console.log('skipped: not installed: chromium (Debian package of this name)')

/** What the page does once Sentry is on it, as a documented set-up says; no host of the name exists. */
const START_SENTRY = (broker: string) => `Sentry.init({
  dsn: 'https://0123456789abcdef0123456789abcdef@sentry.invalid/1',
  integrations: [Sentry.browserTracingIntegration()],
  tracesSampleRate: 1,
  tracePropagationTargets: [${JSON.stringify(broker)}],
})`

describe.skipIf(isMissing)('a page with Sentry', () => {
  let broker: RunningBroker
  let app: App
  let browser: Browser
  let sentry: string
  let token: string

  beforeAll(async () => {
    const clientToken = async (subject: string) => {
      const body = JSON.stringify({ subject })
      const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
      const answer = await fetch(`${broker.url}/v1/tenants/acme/client-tokens`, { method: 'POST', headers, body })
      return ((await answer.json()) as { token: string }).token // of a 201
    }
    ;[broker, app, browser, sentry] = await Promise.all([
      startBroker(),
      serveApp(clientToken),
      launchChromium(),
      sentryScript(),
    ])
    const policy = { allowedOrigins: [app.origin] }
    token = (await broker.newTenant('acme', { scopes: ['turn_keys:write', 'client_tokens:create'], policy })).token
    await fetch(`${broker.url}/client/v4/accounts/acme/calls/turn_keys`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}` },
    })
  })
  afterAll(async () => {
    await browser?.close()
    await Promise.all([broker?.stop(), app?.close()])
  })

  /** A page that traces, and the headers of what it sent to the browser door. */
  async function tracingPage(): Promise<{ page: Page; sent: Record<string, string>[] }> {
    const page = await browser.newPage()
    const sent: Record<string, string>[] = []
    page.on('request', async (request) => {
      if (request.url().endsWith('/ice-servers')) sent.push(request.headers())
    })
    await page.goto(app.origin)
    await page.addScriptTag({ content: sentry })
    await page.evaluate(START_SENTRY(broker.url))
    return { page, sent }
  }

  const door = () => JSON.stringify(`${broker.url}/v1/tenants/acme/ice-servers`)
  const tokenOf = `async () => (await fetch('/turn-token', { method: 'POST', body: 'alice' })).text()`
  const asks: Record<string, () => string> = {
    'the library': () => `(async () => {
      const { createIceServers } = await import(${JSON.stringify(`${broker.url}/client.js`)})
      const ice = createIceServers({ url: ${door()}, getToken: ${tokenOf} })
      return (await ice.get()).iceServers.length
    })()`,
    'fetch with a form': () => `(async () => {
      const body = new URLSearchParams({ access_token: await (${tokenOf})() })
      return (await (await fetch(${door()}, { method: 'POST', body })).json()).iceServers.length
    })()`,
    'fetch with JSON as text/plain': () => `(async () => {
      const body = JSON.stringify({ access_token: await (${tokenOf})() })
      return (await (await fetch(${door()}, { method: 'POST', body })).json()).iceServers.length
    })()`,
    'fetch with JSON and an Authorization header': () => `(async () => {
      const headers = { Authorization: 'Bearer ' + await (${tokenOf})(), 'Content-Type': 'application/json' }
      return (await (await fetch(${door()}, { method: 'POST', headers, body: '{}' })).json()).iceServers.length
    })()`,
  }

  it.each(Object.keys(asks))('A page with Sentry gets its ICE servers by %s, tracing headers and all', async (way) => {
    const { page, sent } = await tracingPage()
    const preflights = () => broker.requests().filter(({ route }) => route === 'iceServersPreflight')
    const before = preflights().length
    expect(await page.evaluate(asks[way]?.() ?? '')).toBe(2)
    expect(sent).toHaveLength(1)
    expect(sent[0]).toMatchObject({ 'sentry-trace': expect.any(String), baggage: expect.stringContaining('sentry-') })
    await expect.poll(() => preflights().length).toBe(before + 1)
    expect(preflights().at(-1)).toMatchObject({ method: 'OPTIONS', status: 204 })
    await page.close()
  })
})

/** The package as a bundler puts it on a page, under the name that its own bundle uses. */
async function sentryScript(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(import.meta.resolve('@sentry/browser'))],
    bundle: true,
    format: 'iife',
    globalName: 'Sentry',
    write: false,
  })
  return outputFiles[0]?.text ?? ''
}
