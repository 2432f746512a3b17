// A TCP proxy on loopback that delays all bytes by a fixed time in each direction: it plays the network distance of a browser.

import type { AddressInfo } from 'node:net'
import { connect, createServer, type Socket } from 'node:net'

const HOST = '127.0.0.1'

export interface SlowWire {
  readonly url: string
  close(): Promise<void>
}

/** `to`: the URL behind it. `delayMs`: each way. A connection itself is made at once: loopback has no other handshake. */
export async function startSlowWire(to: string, delayMs: number): Promise<SlowWire> {
  const target = new URL(to)
  const sockets = new Set<Socket>()
  const server = createServer((near) => {
    const far = connect(Number(target.port), target.hostname)
    for (const [from, onto] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.setNoDelay(true)
      from.on('data', (chunk) => setTimeout(() => onto.writable && onto.write(chunk), delayMs))
      from.on('end', () => setTimeout(() => onto.end(), delayMs))
      from.on('error', () => onto.destroy())
      from.on('close', () => sockets.delete(from))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo // it listens on TCP
  return {
    url: `http://${HOST}:${port}`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        for (const socket of sockets) socket.destroy()
      }),
  }
}
