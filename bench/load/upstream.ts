// Cloudflare's credential API as light as Node can answer it: any key, any secret, a credential of the right shape, after a
// given delay. The emulator checks and logs each request, and its processor time would drown what is measured.
import { randomBytes } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

const HOST = '127.0.0.1'
const URLS = ['turn:turn.cloudflare.com:3478?transport=udp', 'turn:turn.cloudflare.com:3478?transport=tcp']
const TLS_URLS = ['turns:turn.cloudflare.com:5349?transport=tcp', 'turns:turn.cloudflare.com:443?transport=tcp']
const STUN = { urls: ['stun:stun.cloudflare.com:3478'] }

export interface LightUpstream {
  /** As `CLOUDFLARE_RTC_URL`. */
  readonly url: string
  /** How long an answer takes, from now on. */
  delayMs: number
  close(): Promise<void>
}

export async function startUpstream(): Promise<LightUpstream> {
  const answer = async (path: string, response: ServerResponse) => {
    if (upstream.delayMs > 0) await sleep(upstream.delayMs)
    if (path.endsWith('/revoke')) return response.writeHead(204).end()
    const login = { username: randomBytes(40).toString('hex'), credential: randomBytes(40).toString('hex') }
    const body = JSON.stringify({ iceServers: [STUN, { urls: [...URLS, ...TLS_URLS], ...login }] })
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) }
    return response.writeHead(201, headers).end(body)
  }
  const server = createServer((request, response) => {
    request.resume()
    request.once('end', () => void answer(request.url ?? '', response))
  })
  server.keepAliveTimeout = 0
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo // it listens on TCP
  const upstream: LightUpstream = {
    url: `http://${HOST}:${port}/v1`,
    delayMs: 0,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return upstream
}
