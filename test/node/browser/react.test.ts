// docs/react.md, executed word by word: its hooks and its component with React's development build, in a real browser and on a server.
import { pathToFileURL } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { chromiumIsInstalled, launchChromium } from './programs.ts'
import { bundled } from './reactModules.ts'

/** A renewal comes after 3.4 to 3.8 s. */
const ANSWER = { ttl: 8, refreshAfter: 4, source: 'minted', expiresAt: new Date().toISOString() }
const SOON = { timeout: 10_000, interval: 50 }
/** Longer than any renewal would take. */
const QUIET_MS = 5_000
const DOOR = 'https://turn.example.com/v1/tenants'

const installed = chromiumIsInstalled()
if (!installed && process.env.CI) throw new Error('Chromium is not installed, and in CI nothing is skipped')
if (!installed) console.log('skipped: Chromium is not installed (Debian: apt-get install chromium)')

const APP = `
  import { StrictMode } from 'react'
  import { createRoot } from 'react-dom/client'
  import { Call } from './Call.js'
  import { useIceServers as useShared } from './shared.js'
  import { useIceServers } from './useIceServers.js'

  const usernameOf = ({ list, error }) => list?.iceServers[0].username ?? error?.code ?? 'waiting'
  const app = { renders: 0, connections: [] }
  function Own({ tenant }) {
    const render = ++app.renders
    return usernameOf(useIceServers('${DOOR}/' + tenant + '/ice-servers', () => 'token-of-render-' + render))
  }
  const Shared = () => usernameOf(useShared())
  const take = (pc) => app.connections.push(pc)
  const views = {
    own: ({ tenant, id }) => <Own key={id} tenant={tenant} />,
    shared: () => <><Shared /> <Shared /></>,
    call: () => <Call url="${DOOR}/acme/ice-servers" getToken={() => 'token'} onConnection={take} />,
    nothing: () => null,
  }
  const react = createRoot(document.getElementById('root'))
  app.show = (view, options = {}) => react.render(<StrictMode>{views[view](options)}</StrictMode>)
  window.app = app`

interface Opened {
  page: Page
  show: (view: string, options?: object) => Promise<unknown>
  /** What the door was asked: the tenant and the token. */
  asked: string[]
  /** What React and the page complained of. */
  complaints: string[]
  text: () => Promise<string | null>
}

describe.skipIf(!installed)('docs/react.md in a browser', () => {
  let browser: Browser
  let script: string
  beforeAll(async () => {
    script = bundled(APP, 'browser')
    browser = await launchChromium()
  })
  afterAll(() => browser?.close())

  async function open(play: (nth: number) => [status: number, answer: object] = () => [201, {}]): Promise<Opened> {
    const page = await browser.newPage()
    const asked: string[] = []
    const complaints: string[] = []
    page.on('console', (line) => {
      if (['error', 'warning'].includes(line.type()) && !line.text().startsWith('Failed to load'))
        complaints.push(line.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    await page.route('**/*', async (route) => {
      const { pathname } = new URL(route.request().url())
      const headers = { 'access-control-allow-origin': '*' }
      if (pathname === '/app.js') return route.fulfill({ path: script, contentType: 'text/javascript' })
      if (pathname === '/turn-token') return route.fulfill({ json: { token: 'of-the-back-end' } })
      const [, tenant] = /tenants\/(\w+)\/ice-servers/.exec(pathname) ?? []
      if (!tenant) {
        const body = '<!doctype html><div id="root"></div><script type="module" src="/app.js"></script>'
        return route.fulfill({ body, contentType: 'text/html' })
      }
      const token = new URLSearchParams(route.request().postData() ?? '').get('access_token')
      const nth = asked.push(`${tenant} ${token}`)
      const [status, answer] = play(nth)
      const iceServers = [{ urls: ['turn:turn.test'], username: `user-${nth}`, credential: 'c' }]
      return route.fulfill({ status, headers, json: { iceServers, ...ANSWER, ...answer } })
    })
    await page.goto('https://app.example.com/')
    await page.waitForFunction('window.app !== undefined')
    const show: Opened['show'] = (view, options = {}) =>
      page.evaluate(`app.show(${JSON.stringify(view)}, ${JSON.stringify(options)})`)
    return { page, show, asked, complaints, text: () => page.textContent('#root') }
  }

  const done = async ({ page, complaints }: Opened) => {
    await page.close()
    expect(complaints).toEqual([])
  }

  it.concurrent('Docs/react.md asks once under StrictMode, renders each renewed list, and ends with the component', async ({
    expect,
  }) => {
    const opened = await open()
    const { show, asked, text, page } = opened
    await show('own', { tenant: 'acme' })
    await expect.poll(text, SOON).toBe('user-1')
    expect(asked).toHaveLength(1)
    await expect.poll(text, SOON).toBe('user-2')
    await show('nothing')
    await expect.poll(text, SOON).toBe('')
    const before = asked.length
    await page.waitForTimeout(QUIET_MS)
    expect(asked).toHaveLength(before)
    await done(opened)
  })

  it.concurrent('Docs/react.md begins again when the component is mounted again, as on a hot reload', async ({
    expect,
  }) => {
    const opened = await open()
    const { show, asked, text, page } = opened
    await show('own', { tenant: 'acme', id: 1 })
    await expect.poll(text, SOON).toBe('user-1')
    await show('own', { tenant: 'acme', id: 2 })
    await expect.poll(() => asked.length, SOON).toBeGreaterThan(1)
    const before = asked.length
    const renders = () => asked.map((each) => Number(/\d+$/.exec(each)))
    await page.waitForTimeout(QUIET_MS)
    // Only the client that is mounted renews: its token comes from a later render.
    expect(asked.length).toBeGreaterThan(before)
    expect(Math.min(...renders().slice(before))).toBeGreaterThanOrEqual(
      renders()[before - 1] ?? Number.POSITIVE_INFINITY,
    )
    await done(opened)
  })

  it.concurrent('Docs/react.md takes the newest getToken of all renders, and renders no more often for it', async ({
    expect,
  }) => {
    const opened = await open()
    const { show, asked, text, page } = opened
    for (let time = 0; time < 5; time++) await show('own', { tenant: 'acme' })
    await expect.poll(text, SOON).toBe('user-1')
    const before = await page.evaluate<number>('app.renders')
    await page.waitForTimeout(500)
    expect(await page.evaluate('app.renders')).toBe(before)
    expect(before).toBeLessThan(30)
    await show('own', { tenant: 'acme' })
    await expect.poll(() => asked.length, SOON).toBe(2)
    const [, first = 0, second = 0] = /(\d+) acme .*?(\d+)$/.exec(asked.join(' ')) ?? []
    expect(Number(second)).toBeGreaterThan(Number(first))
    await done(opened)
  })

  it.concurrent('Docs/react.md leaves the old address when it is given another', async ({ expect }) => {
    const opened = await open()
    const { show, asked, text, page } = opened
    await show('own', { tenant: 'acme' })
    await expect.poll(text, SOON).toBe('user-1')
    await show('own', { tenant: 'other' })
    const tenants = () => asked.map((each) => each.split(' ')[0])
    await expect.poll(tenants, SOON).toContain('other')
    const before = asked.length
    await page.waitForTimeout(QUIET_MS)
    expect(new Set(tenants().slice(before))).toEqual(new Set(['other']))
    await done(opened)
  })

  it.concurrent('Docs/react.md shares one client among all components of an app', async ({ expect }) => {
    const opened = await open()
    const { show, asked, text } = opened
    await show('shared')
    await expect.poll(text, SOON).toBe('user-1 user-1')
    await expect.poll(text, SOON).toBe('user-2 user-2')
    await show('nothing')
    await show('shared')
    expect(asked.length).toBeLessThan(4)
    expect(new Set(asked)).toEqual(new Set(['acme of-the-back-end']))
    await done(opened)
  })

  it.concurrent('Docs/react.md makes one connection, gives it each list, and closes it with the component', async ({
    expect,
  }) => {
    const opened = await open()
    const { show, text, page } = opened
    const connections = () =>
      page.evaluate(
        `app.connections.map((pc) => pc.signalingState + ' ' + pc.getConfiguration().iceServers[0].username)`,
      )
    await show('call')
    await expect.poll(text, SOON).toBe('Ready')
    await expect.poll(connections, SOON).toEqual(['stable user-1'])
    await expect.poll(connections, SOON).toEqual(['stable user-2'])
    await show('nothing')
    await expect.poll(connections, SOON).toEqual(['closed user-2'])
    await done(opened)
  })

  it.concurrent('Docs/react.md shows that a renewal failed while the list is valid, and that there is none after it', async ({
    expect,
  }) => {
    const opened = await open((nth) => (nth === 1 ? [201, {}] : [503, { code: 'broker_busy' }]))
    const { show, text } = opened
    await show('call')
    await expect.poll(text, SOON).toBe('Ready')
    await expect.poll(text, SOON).toMatch(/^Relays until \d.*: broker_busy$/)
    await expect.poll(text, SOON).toBe('No relay: broker_busy')
    await done(opened)
  })

  it.concurrent('Docs/react.md makes a connection without a list when there is none to be had', async ({ expect }) => {
    const opened = await open(() => [403, { code: 'subject_banned' }])
    const { show, text, page } = opened
    await show('call')
    await expect.poll(text, SOON).toBe('No relay: subject_banned')
    await expect.poll(() => page.evaluate('app.connections.length'), SOON).toBe(1)
    await done(opened)
  })
})

describe('docs/react.md on a server', () => {
  it('Docs/react.md renders on a server without a request, with the state of the first render in the browser', async () => {
    const rendered = bundled(
      `import { renderToString } from 'react-dom/server'
      import { Call } from './Call.js'
      import { useIceServers } from './shared.js'
      const Shared = () => JSON.stringify(useIceServers())
      globalThis.fetch = () => { throw new Error('sent') }
      export const html = [renderToString(<Call url="u" getToken={() => 't'} />), renderToString(<Shared />)]`,
      'node',
    )
    const { html } = (await import(/* @vite-ignore */ pathToFileURL(rendered).href)) as { html: string[] } // its export
    expect(html).toEqual(['<p>Asking for ICE servers …</p>', '{&quot;list&quot;:null,&quot;error&quot;:null}'])
  })
})
