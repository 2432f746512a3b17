// The browser library on pages with the headers that docs/client.md speaks of, in real Chromium, from the running broker: CSP with a pinned
// digest, COEP, Trusted Types, and a classic script.
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fencesOf, textOf } from '../docs/repository.ts'
import { INTEGRITY, RELEASE } from '../library/servedLibrary.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import { chromiumIsInstalled, launchChromium } from './programs.ts'

const installed = chromiumIsInstalled()
if (!installed && process.env.CI) throw new Error('Chromium is not installed, and in CI nothing is skipped')
if (!installed) console.log('skipped: Chromium is not installed (Debian: apt-get install chromium)')

const [CSP = ''] = fencesOf(textOf('docs/client.md'))
  .filter(({ under, language }) => under === 'CSP and COEP' && language === 'http')
  .map(({ code }) => code.replace('Content-Security-Policy: ', ''))

/** Loads the library from `from`, asks the door, and holds what came of it. */
const APP = `
  const { from, door, token } = JSON.parse(decodeURIComponent(location.hash.slice(1)))
  window.result = (async () => {
    const library = await import(from).catch(() => undefined)
    if (!library) return 'not loaded'
    const client = library.createIceServers(door, token)
    return client.get().then(({ source }) => source, ({ code }) => code).finally(client.stop)
  })()`

interface Served {
  headers: Record<string, string>
  html: string
}

describe.skipIf(!installed)('a page with headers', () => {
  let broker: RunningBroker
  let browser: Browser
  let app: Server
  let origin: string
  let apiToken: string
  const pages: Served[] = []

  beforeAll(async () => {
    app = createServer(({ url = '/' }, response) => {
      const [type, body] = url === '/app.js' ? ['javascript', APP] : ['javascript', textOf('public/client.js')]
      const page = pages[Number(/^\/(\d+)$/.exec(url)?.[1])]
      response
        .writeHead(200, { 'content-type': `text/${page ? 'html' : type}`, ...page?.headers })
        .end(page?.html ?? body)
    })
    await new Promise<void>((resolve) => app.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(app.address() as AddressInfo).port}` // it listens on TCP
    ;[broker, browser] = await Promise.all([startBroker(), launchChromium()])
    const scopes = ['turn_keys:write', 'client_tokens:create'] as const
    const tenant = await broker.newTenant('acme', { scopes: [...scopes], policy: { allowedOrigins: [origin] } })
    apiToken = tenant.token
    await ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'pages' })
  })
  afterAll(async () => {
    await browser?.close()
    await broker?.stop()
    app?.close()
  })

  async function ask(route: string, body: object): Promise<Record<string, unknown>> {
    const headers = { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' }
    const response = await fetch(broker.url + route, { method: 'POST', headers, body: JSON.stringify(body) })
    expect(response.status).toBe(201)
    return (await response.json()) as Record<string, unknown> // JSON of the broker is an object
  }

  /** `turn.example.com`, as the document has it, is the running broker. */
  const real = (text: string) => text.replaceAll('https://turn.example.com', broker.url)
  const door = () => `${broker.url}/v1/tenants/acme/ice-servers`

  async function open(served: Partial<Served>, from = real('https://turn.example.com/client.js')): Promise<Page> {
    const { headers = {}, html = '<!doctype html><script type="module" src="/app.js"></script>' } = served
    const address = `${origin}/${pages.push({ headers, html }) - 1}`
    const { token } = await ask('/v1/tenants/acme/client-tokens', { subject: 'alice' })
    const page = await browser.newPage()
    await page.goto(`${address}#${encodeURIComponent(JSON.stringify({ from, door: door(), token }))}`)
    return page
  }

  async function outcome(served: Partial<Served>, from?: string): Promise<unknown> {
    const page = await open(served, from)
    return page.evaluate('window.result').finally(() => page.close())
  }

  const csp = (policy: string): Partial<Served> => ({ headers: { 'content-security-policy': policy } })

  it('A page with headers of docs/client.md gets a list by the library of the broker', async () => {
    expect(CSP).toContain('script-src')
    expect(await outcome(csp(`default-src 'none'; ${real(CSP)}`))).toMatch(/^(minted|reused)$/)
  })

  it.each([
    [
      'the exact addresses',
      `script-src 'self' BROKER/client/${RELEASE}.js; connect-src BROKER/v1/tenants/acme/ice-servers`,
    ],
    [
      'Trusted Types',
      "script-src 'self' BROKER; connect-src BROKER; require-trusted-types-for 'script'; trusted-types 'none'",
    ],
  ])('A page with headers of CSP gets a list: %s', async (_, policy) => {
    const from = `${broker.url}/client/${RELEASE}.js`
    expect(await outcome(csp(`default-src 'none'; ${policy.replaceAll('BROKER', broker.url)}`), from)).toMatch(
      /minted|reused/,
    )
  })

  it('A page with headers of CSP needs no script-src of the broker for a copy in its own build', async () => {
    const policy = `default-src 'none'; script-src 'self'; connect-src ${broker.url}`
    expect(await outcome(csp(policy), '/copy.js')).toMatch(/minted|reused/)
  })

  it.each([
    ['script-src', 'not loaded', "script-src 'self'; connect-src BROKER"],
    ['connect-src', 'network', "script-src 'self' BROKER; connect-src 'self'"],
  ])('A page with headers of CSP that lacks the broker in %s: %s', async (_, result, policy) => {
    expect(await outcome(csp(policy.replaceAll('BROKER', broker.url)))).toBe(result)
  })

  it.each([
    ['its digest', INTEGRITY, /^(minted|reused)$/],
    ['another digest', `sha384-${'A'.repeat(64)}`, /^not loaded$/],
  ])('A page with headers of CSP that has an import map with a nonce, and in it %s', async (_, integrity, result) => {
    const file = `${broker.url}/client/${RELEASE}.js`
    const map = JSON.stringify({ imports: { 'turn-broker-client': file }, integrity: { [file]: integrity } })
    const html = `<!doctype html><script type="importmap" nonce="n0nce">${map}</script><script type="module" src="/app.js"></script>`
    // A module of the page names the package; the map says where it is.
    const policy = `script-src 'self' 'nonce-n0nce' ${broker.url}; connect-src ${broker.url}`
    expect(await outcome({ ...csp(policy), html }, 'turn-broker-client')).toMatch(result)
  })

  it.each(['require-corp', 'credentialless'])(
    'A page with headers of COEP %s stays isolated with the library',
    async (coep) => {
      const headers = { 'cross-origin-embedder-policy': coep, 'cross-origin-opener-policy': 'same-origin' }
      const page = await open({ headers })
      expect(await page.evaluate('window.result')).toMatch(/minted|reused/)
      expect(await page.evaluate('crossOriginIsolated')).toBe(true)
      await page.close()
    },
  )

  it('A page with headers of CSP needs no host for its RTCPeerConnections', async () => {
    const page = await open(csp(`default-src 'none'; ${real(CSP)}`))
    const state = await page.evaluate(`new Promise(async (resolve) => {
      const [a, b] = [new RTCPeerConnection(), new RTCPeerConnection()]
      a.onicecandidate = ({ candidate }) => b.addIceCandidate(candidate)
      b.onicecandidate = ({ candidate }) => a.addIceCandidate(candidate)
      a.createDataChannel('c').onopen = () => resolve('open')
      await a.setLocalDescription()
      await b.setRemoteDescription(a.localDescription)
      await b.setLocalDescription()
      await a.setRemoteDescription(b.localDescription)
    })`)
    expect(state).toBe('open')
    await page.close()
  })

  it('A page with a classic script cannot load the library, but by import()', async () => {
    const inline = "window.errors = []; addEventListener('error', ({ message }) => errors.push(message))"
    const html = `<!doctype html><script>${inline}</script><script src="${broker.url}/client.js" crossorigin></script><script src="/app.js"></script>`
    const page = await open({ html })
    expect(await page.evaluate('window.errors')).toEqual([expect.stringContaining('SyntaxError')])
    expect(await page.evaluate('window.result')).toMatch(/minted|reused/)
    await page.close()
  })
})
