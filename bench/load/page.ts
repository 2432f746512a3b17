// A page on an origin of its own that has the browser library.
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { buildSync } from 'esbuild'

const HOST = '127.0.0.1'
/** Both ways to ask, as pages write them. Each resolves to the milliseconds until the ICE servers are there. */
const PAGE_SCRIPT = `
import { createIceServers } from ${JSON.stringify(path.join(import.meta.dirname, '../../src/client/iceServers.ts'))}
const since = (begun) => performance.now() - begun
globalThis.askBy = {
  async library(url, token) {
    const begun = performance.now()
    const client = createIceServers({ url, getToken: () => token })
    const { iceServers } = await client.get()
    const ms = since(begun)
    client.stop()
    return { ms, servers: iceServers.length }
  },
  async fetch(url, token) {
    const begun = performance.now()
    const headers = { Authorization: 'Bearer ' + token, 'Content-Type': 'application/json' }
    const response = await fetch(url, { method: 'POST', headers, body: '{}' })
    const { iceServers } = await response.json()
    return { ms: since(begun), servers: iceServers.length }
  },
}
`
const PAGE =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'

export async function servePage(): Promise<{ origin: string; close(): Promise<void> }> {
  const { outputFiles } = buildSync({
    stdin: { contents: PAGE_SCRIPT, resolveDir: import.meta.dirname, loader: 'js' },
    bundle: true,
    minify: true,
    format: 'esm',
    target: 'es2022',
    write: false,
  })
  const script = outputFiles[0]?.text ?? ''
  const server = createServer((request, response) => {
    const isScript = request.url === '/page.js'
    response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
    response.end(isScript ? script : PAGE)
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo // it listens on TCP
  return {
    origin: `http://${HOST}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}
