// The browser library as it is handed out: its bundle in a runtime without a page, and its document.
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { fencesOf, filesLike, matches, root, sectionOf, tableOf, textOf } from '../docs/repository.ts'
import { pass } from './fakeConnection.ts'
import { answer, INTEGRITY, type Library, load, RELEASE, told } from './servedLibrary.ts'

const MAX_GZIP_BYTES = 4_096
const MINUTE_MS = 60_000
const DOOR = 'https://turn.example.com/v1/tenants/acme/ice-servers'

const text = textOf('public/client.js')
const document = textOf('docs/client.md')

beforeEach(() => {
  told.answers = 0
  vi.useFakeTimers()
})
afterEach(() => vi.useRealTimers())

describe('the bundle', () => {
  it(`The bundle is at most ${MAX_GZIP_BYTES} bytes compressed, of its own, and for a page of any encoding`, () => {
    expect(gzipSync(text, { level: 9 }).byteLength).toBeLessThanOrEqual(MAX_GZIP_BYTES)
    expect(text).not.toMatch(/\bimport\b|\brequire\b|\beval\b/)
    expect(text).toMatch(/^[\n -~]*$/)
    expect(text).toContain(`client ${RELEASE.split('-')[0]} `)
  })

  it('The bundle works where there is no window', async () => {
    expect(globalThis).not.toHaveProperty('window')
    expect(globalThis).not.toHaveProperty('document')
    const { createIceServers } = (await load('worker.mjs', "export * from 'turn-broker-client'")) as Library // its entry
    const client = createIceServers({ url: DOOR, getToken: () => 'token', fetch: async () => answer() })
    expect(await client.get()).toMatchObject({ source: 'minted' })
    await pass(60 * MINUTE_MS)
    expect(told.answers).toBeGreaterThan(10)
    client.stop()
    expect(vi.getTimerCount()).toBe(0)
  })

  it('The bundle is up to date', async () => {
    const script = path.join(root, 'scripts/client.ts')
    await expect(promisify(execFile)(process.execPath, [script, '--check'])).resolves.toMatchObject({ stderr: '' })
  })
})

describe('docs/client.md', () => {
  it('Docs/client.md shows the examples as they are', () => {
    const codeUnder = (heading: string) => fencesOf(sectionOf(document, heading)).map(({ code }) => `${code}\n`)
    expect(codeUnder('A page')).toEqual([textOf('examples/browser.html')])
    expect(codeUnder('Perfect negotiation')).toEqual([textOf('examples/perfectNegotiation.mjs')])
  })

  it('Docs/client.md pins the script by its digest, as the example does', () => {
    const [shown] = fencesOf(sectionOf(document, 'Pinning it')).map(({ code }) => JSON.parse(code) as unknown)
    const file = `https://turn.example.com/client/${RELEASE}.js`
    expect(shown).toEqual({
      imports: { 'turn-broker-client': file },
      integrity: { [file]: INTEGRITY },
    })
    const [, map = ''] = /<script type="importmap">([\s\S]*?)<\/script>/.exec(textOf('examples/browser.html')) ?? []
    expect(JSON.parse(map)).toEqual(shown)
  })

  it('Docs/client.md explains every code of the library', () => {
    const sources = filesLike('src/client/*.ts').map(textOf).join('\n')
    const used = matches(sources, /code(?::| =) ['`]([a-z_]+(?:\$\{status\})?)['`]/g)
    const documented = tableOf(document, 'code').map(([code]) => code)
    expect(new Set(documented)).toEqual(
      new Set([
        ...matches(sources, /tellDegraded\('([a-z_]+)'\)/g),
        ...matches(sources, /`(http_)\$\{status\}`/g).map(() => 'http_{status}'),
        ...used,
      ]),
    )
  })

  it('Docs/client.md lists every option', () => {
    const [, options = ''] = /interface IceServersOptions \{([\s\S]*?)\n\}/.exec(textOf('src/client/api.ts')) ?? []
    expect(tableOf(document, 'option').map(([name]) => name)).toEqual(matches(options, /^ {2}(\w+)\??:/gm))
  })
})
