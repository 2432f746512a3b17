// Clients that take one of the dialects to a real TURN server: coturn's own, aiortc and GStreamer from Debian, a WHIP client from npm
// in Chromium. Code of docs/integrations.md runs as it stands there.
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RTCPeerConnection } from 'werift'
import { chromiumIsInstalled, launchChromium } from '../browser/programs.ts'
import { fencesOf, sectionOf, textOf } from '../docs/repository.ts'
import { areInstalled, PYTHON, type Surroundings, start, startSurroundings } from './foreign.ts'

const run = promisify(execFile)
const FILES: Record<string, string> = {
  '/page.js': path.join(import.meta.dirname, 'page.js'),
  '/whip.js': fileURLToPath(import.meta.resolve('whip-whep/whip.js')),
}

interface Published {
  servers: object[]
  candidates: string[]
}

const hasCoturn = areInstalled('coturn')

describe.skipIf(!hasCoturn)('clients of the dialects', () => {
  let around: Surroundings
  beforeAll(async () => {
    around = await startSurroundings()
  })
  afterAll(() => around?.stop())

  const ask = async (query: string, init: RequestInit = { method: 'POST' }): Promise<string> => {
    const headers = { authorization: `Bearer ${around.token}` }
    const response = await fetch(`${around.broker.url}/v1/tenants/acme/turn-rest${query}`, { headers, ...init })
    const text = await response.text()
    expect(response.status, text).toBe(200)
    return text
  }

  it("Coturn's own client relays with the dialect uberti, asked by the shell lines of docs/integrations.md", async () => {
    const env = { ...process.env, BROKER: around.broker.url, TOKEN: around.token }
    const page = sectionOf(textOf('docs/integrations.md'), 'Ask for a credential')
    const blocks = fencesOf(page).filter(({ language }) => language === 'sh')
    const answers: string[] = []
    for (const { code } of blocks) answers.push((await run('bash', ['-euo', 'pipefail', '-c', code], { env })).stdout)
    const [stdout = '', rtc = ''] = answers
    expect(JSON.parse(rtc)).toEqual({ iceServers: [expect.any(Object), expect.any(Object)] })
    expect(answers).toHaveLength(2)
    const { username, password, uris } = JSON.parse(stdout) as { username: string; password: string; uris: string[] }
    const port = /:(\d+)\?/.exec(uris[0] ?? '')?.[1] ?? ''
    const login = ['-u', username, '-w', password, '-p', port]
    await run('turnutils_uclient', [...login, '-y', '-c', '-n', '1', '-m', '1', '127.0.0.1'], { timeout: 15_000 })
  })

  it.skipIf(!areInstalled('python3-aiortc'))(
    'Aiortc gathers a relayed candidate with the dialect ice-servers',
    async () => {
      const code = around.written('aiortc and FastRTC', 'python')
      const program = start(PYTHON, ['-u', '-c', code + AIORTC], { TOKEN: around.token })
      try {
        expect(await program.prints(/candidates: (.*)\n/)).toContain('typ relay')
        expect(await program.prints(/FastRTC: (.*)\n/)).toMatch(/^\{"iceServers": \[\{"urls": \["stun:/)
        expect(await around.relayed()).toContain(await program.prints(/username: (.*)\n/))
      } finally {
        await program.stop()
      }
    },
  )

  it.skipIf(!areInstalled('python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-bad gstreamer1.0-nice'))(
    'GStreamer gathers a relayed candidate with the dialect uri',
    async () => {
      const program = start(PYTHON, ['-u', '-c', around.written('GStreamer', 'python') + WEBRTCBIN], {
        TOKEN: around.token,
      })
      try {
        expect(await program.prints(/candidate: (.*)\n/)).toContain('typ relay')
      } finally {
        await program.stop()
      }
    },
  )

  const hasChromium = chromiumIsInstalled()
  if (!hasChromium && process.env.CI) throw new Error('Chromium is not installed, and in CI nothing is skipped')
  if (!hasChromium) console.log('skipped: Chromium is not installed (Debian: apt-get install chromium)')

  describe.skipIf(!hasChromium)('in Chromium', () => {
    it('A WHIP client from npm takes its TURN servers from the lines of the dialect link', async () => {
      const whip = await startWhipServer()
      const browser = await launchChromium()
      try {
        const page = await browser.newPage()
        await page.goto(whip.url)
        const { servers, candidates } = await page.evaluate<Published>('publish()')
        expect(candidates).toEqual(expect.arrayContaining([expect.stringContaining('typ relay')]))
        const { credentials } = await around.broker.emulator.secrets()
        const { username, credential } = credentials.at(-1) ?? {}
        expect(servers).toEqual([
          { urls: [expect.stringMatching(/^stun:/)] },
          ...['udp', 'tcp'].map((transport) => ({
            urls: [expect.stringMatching(new RegExp(`^turn:.+transport=${transport}$`))],
            username,
            credential,
          })),
        ])
      } finally {
        await browser.close()
        await whip.close()
      }
    })

    it('A page passes the dialect rtc to RTCPeerConnection, and the dialect selkies likewise', async () => {
      const whip = await startWhipServer()
      const browser = await launchChromium()
      try {
        const page = await browser.newPage()
        await page.goto(whip.url)
        for (const format of ['rtc', 'selkies']) {
          const candidates = await page.evaluate<string[]>(`gather(${JSON.stringify(await ask(`?format=${format}`))})`)
          expect(candidates, format).toEqual(expect.arrayContaining([expect.stringContaining('typ relay')]))
        }
      } finally {
        await browser.close()
        await whip.close()
      }
    })
  })

  /** A WHIP endpoint that answers with werift, and hands on what the code of docs/integrations.md gives it. */
  async function startWhipServer(): Promise<{ url: string; close(): Promise<void> }> {
    const code = around.written('WHIP and WHEP, OBS', 'js')
    const iceServerLinks = new Function('process', `${code}; return iceServerLinks`)({ env: { TOKEN: around.token } })
    const peers: RTCPeerConnection[] = []
    const server = createServer(async (request, response) => {
      const file = FILES[request.url ?? '']
      if (file) {
        response.writeHead(200, { 'content-type': 'text/javascript' }).end(readFileSync(file))
      } else if (request.url === '/') {
        response
          .writeHead(200, { 'content-type': 'text/html' })
          .end('<!doctype html><script type="module" src="/page.js"></script>')
      } else if (request.method === 'POST') {
        const peer = new RTCPeerConnection()
        peers.push(peer)
        await peer.setRemoteDescription({ type: 'offer', sdp: await textOfBody(request) })
        await peer.setLocalDescription(await peer.createAnswer())
        response.setHeader('Link', await iceServerLinks())
        response.writeHead(201, { 'content-type': 'application/sdp', location: '/session/1' })
        response.end(peer.localDescription?.sdp)
      } else response.writeHead(204).end()
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const { port } = server.address() as AddressInfo // of a server that listens on TCP
    return {
      url: `http://127.0.0.1:${port}/`,
      async close() {
        await Promise.all(peers.map((peer) => peer.close()))
        server.closeAllConnections()
        await new Promise((resolve) => server.close(resolve))
      },
    }
  }
})

async function textOfBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer) // no encoding is set
  return Buffer.concat(chunks).toString('utf8')
}

const AIORTC = `
import asyncio, sys
from aiortc import RTCPeerConnection

async def main():
    configuration = rtc_configuration()
    print("username:", configuration.iceServers[-1].username)
    peer = RTCPeerConnection(configuration)
    peer.createDataChannel("proof")
    await peer.setLocalDescription(await peer.createOffer())
    print("candidates:", [line for line in peer.localDescription.sdp.splitlines() if "candidate" in line])
    print("FastRTC:", json.dumps(turn_broker("rtc")))
    await asyncio.sleep(60)

asyncio.run(main())
`

const WEBRTCBIN = `
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import GLib, Gst, GstWebRTC

Gst.init(None)
pipeline = Gst.Pipeline.new("proof")
peer = Gst.ElementFactory.make("webrtcbin", "peer")
peer.set_property("bundle-policy", GstWebRTC.WebRTCBundlePolicy.MAX_BUNDLE)
peer.set_property("ice-transport-policy", GstWebRTC.WebRTCICETransportPolicy.RELAY)
pipeline.add(peer)
pipeline.set_state(Gst.State.READY)
add_turn_servers(peer)
peer.emit("create-data-channel", "proof", None)

def offered(promise, _):
    promise.wait()
    reply = promise.get_reply()
    peer.emit("set-local-description", reply.get_value("offer"), Gst.Promise.new())

peer.connect("on-ice-candidate", lambda _, line, candidate: print("candidate:", candidate))
pipeline.set_state(Gst.State.PLAYING)
peer.emit("create-offer", None, Gst.Promise.new_with_change_func(offered, None))
GLib.timeout_add_seconds(30, lambda: exit(1))
GLib.MainLoop().run()
`
