// The Connection of a request that came through Node's http server. Knows sockets, nothing of faults.
import type { HttpBindings } from '@hono/node-server'
import { type Connection, HANDLED_HEADER } from './connection.ts'

export function nodeConnection({ incoming, outgoing }: HttpBindings): Connection {
  const { socket } = incoming
  return {
    reset: () => void socket.resetAndDestroy(),
    end: () => void socket.destroySoon(),
    sendPart: ({ status, headers }, { bytes, promisedBytes }) =>
      new Promise((resolve) => {
        outgoing.writeHead(status, { ...headers, 'content-length': promisedBytes })
        // A client that has left makes the write fail; no reader is left.
        outgoing.write(bytes, () => resolve())
      }),
    untilClosed: () =>
      new Promise((resolve) => {
        if (socket.destroyed) resolve()
        else socket.once('close', () => resolve())
      }),
    handled: () => new Response(null, { headers: { [HANDLED_HEADER]: 'true' } }),
  }
}
