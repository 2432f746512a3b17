// The browser library and its types as `wrangler dev` serves the static assets: to every page, cached well, without the Worker.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { matches, root, textOf } from '../docs/repository.ts'
import { INTEGRITY, RELEASE } from '../library/servedLibrary.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

const JAVASCRIPT = 'text/javascript; charset=utf-8'
const TYPESCRIPT = 'application/typescript; charset=utf-8'
const ONE_HOUR = 'public, max-age=3600'
const FOR_GOOD = 'public, max-age=31536000, immutable'
const FILES: [address: string, file: string, type: string, cacheControl: string][] = [
  ['/client.js', 'client.js', JAVASCRIPT, ONE_HOUR],
  ['/client.d.ts', 'client.d.ts', TYPESCRIPT, ONE_HOUR],
  [`/client/${RELEASE}.js`, 'client.js', JAVASCRIPT, FOR_GOOD],
  [`/client/${RELEASE}.d.ts`, 'client.d.ts', TYPESCRIPT, FOR_GOOD],
]

let broker: RunningBroker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const get = (address: string, init: RequestInit = {}) => fetch(broker.url + address, { redirect: 'manual', ...init })
/** A program against the types that an address leads to, checked by tsc. The output, which is empty when all fits. */
async function checked(program: string): Promise<string> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-types-'))
  writeFileSync(path.join(folder, 'client.d.ts'), await (await get('/client.d.ts')).text())
  writeFileSync(path.join(folder, 'app.ts'), program)
  const paths = { 'https://turn.example.com/client.js': ['./client.d.ts'], 'turn-broker-client': ['./client.d.ts'] }
  const lib = ['es2022', 'dom']
  const compilerOptions = {
    strict: true,
    noEmit: true,
    module: 'esnext',
    moduleResolution: 'bundler',
    lib,
    types: [],
    paths,
  }
  writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['app.ts'] }))
  const tsc = path.join(root, 'node_modules/.bin/tsc')
  const ran = promisify(execFile)(tsc, ['-p', folder]).catch((error: { stdout: string }) => error)
  const { stdout } = await ran.finally(() => rmSync(folder, { recursive: true }))
  return stdout
}

describe('the library', () => {
  it.each(FILES)('The library at %s is the committed file for every page, without the Worker', async (...row) => {
    const [address, file, type, cacheControl] = row
    const answer = await get(address, { headers: { origin: 'https://anybody.example' } })
    expect([answer.status, await answer.text()]).toEqual([200, textOf(`public/${file}`)])
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'cache-control': cacheControl,
      'content-type': type,
      'cross-origin-resource-policy': 'cross-origin',
      'strict-transport-security': 'max-age=31536000',
      'x-content-type-options': 'nosniff',
    })
    expect(answer.headers.get('x-request-id')).toBeNull()
    expect(answer.headers.get('vary')).toBeNull()
  })

  it.each(FILES)('The library at %s is not sent again to a browser that has it', async (address) => {
    const etag = (await get(address)).headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`]) {
      const answer = await get(address, { headers: { 'if-none-match': known } })
      expect([answer.status, await answer.text()]).toEqual([304, ''])
      expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    }
    expect((await get(address, { headers: { 'if-none-match': '"other"' } })).status).toBe(200)
  })

  it('The library has the same headers for HEAD, and takes no other method', async () => {
    const shown = ({ headers }: Response) => ['content-type', 'etag', 'cache-control'].map((name) => headers.get(name))
    const [whole, head] = [await get('/client.js'), await get('/client.js', { method: 'HEAD' })]
    expect([head.status, await head.text(), shown(head)]).toEqual([200, '', shown(whole)])
    for (const method of ['POST', 'PUT', 'DELETE']) expect((await get('/client.js', { method })).status).toBe(405)
  })

  it('The library has an address of its own bytes: for good, it must never lead to others', async () => {
    const hash = await crypto.subtle.digest('SHA-384', await (await get(`/client/${RELEASE}.js`)).arrayBuffer())
    expect(`sha384-${Buffer.from(hash).toString('base64')}`).toBe(INTEGRITY)
    expect(RELEASE).toMatch(new RegExp(`^\\d+\\.\\d+\\.\\d+-${Buffer.from(hash).toString('hex').slice(0, 8)}$`))
  })

  it.each([
    '/client/0.0.0.js',
    `/client/${RELEASE}`,
    `/client/${RELEASE}.js.map`,
    '/client/latest.js',
    '/client/x',
    '/client/',
    '/client',
    '/client.d',
    '/client/v4/user',
  ])('The library is not at %s: the Worker answers, and no cache keeps that', async (address) => {
    const answer = await get(address)
    expect(answer.status).toBe(404)
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('x-request-id')).not.toBeNull()
  })

  it('The library is there while the broker is not configured: a page must be able to say that something is wrong', async () => {
    await broker.restart({ ROOT_KEYS: 'none' })
    const ready = await get('/readyz')
    expect([ready.status, (await get('/client.js')).status]).toEqual([503, 200])
  })
})

describe('the types', () => {
  const PROGRAM = `
    import { createIceServers, type IceServersError, type Snapshot } from 'https://turn.example.com/client.js'
    import { createIceServers as same } from 'turn-broker-client'
    const client = createIceServers('https://turn.example.com/v1/tenants/acme/ice-servers', async () => 'token', { ttl: 600 })
    const other = same({ url: 'u', getToken: 'token', onError: ({ code, status }: IceServersError) => [code, status] })
    const pc = new RTCPeerConnection(await client.get())
    const detach: () => void = client.attach(pc, { initiator: false })
    const off: () => void = client.subscribe(({ list, error }: Snapshot) => [list?.expiresAt, error?.retryInSeconds])
    other.stop()
    export { detach, off }`

  it('The types fit programs that import the library by its address or by its name, with tsc and a browser’s connection', async () => {
    expect(await checked(PROGRAM)).toBe('')
  })

  it.each([
    ['a token that is a number', "createIceServers('u', 1)"],
    ['no token', "createIceServers('u')"],
    ['an option that there is not', "createIceServers('u', 'token', { tll: 1 })"],
    ['the address twice', "createIceServers('u', 'token', { url: 'u' })"],
    ['a snapshot that is written to', "createIceServers('u', 'token').getSnapshot().list = null"],
  ])('The types refuse %s', async (_, line) => {
    const told = await checked(`import { createIceServers } from 'turn-broker-client'\n${line}\n`)
    expect(matches(told, /^(?:.*)app\.ts\((\d+),/gm)).toEqual(['2'])
  })
})
