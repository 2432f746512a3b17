// The emulator behind a real listening socket, on loopback only. Owns start, stop and the state file's place.

import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener, type HttpBindings } from '@hono/node-server'
import { createEmulator } from './app.ts'
import { nodeConnection } from './http/nodeConnection.ts'
import { readStateFile, writeStateFile } from './world/stateFile.ts'
import type { EmulatorOptions } from './world/world.ts'

const IDLE_CONNECTIONS_STAY_OPEN = 0

export interface StartOptions extends Omit<EmulatorOptions, 'state' | 'onChange'> {
  /** 0, the default: any free port. */
  port?: number
  host?: '127.0.0.1' | '::1'
  /** Where keys and credentials survive a restart. */
  stateFile?: string
}

export interface RunningEmulator {
  url: string
  port: number
  /** Ends at once, open connections included. */
  close(): Promise<void>
}

export async function startEmulator(options: StartOptions = {}): Promise<RunningEmulator> {
  const { port = 0, host = '127.0.0.1', stateFile, ...rest } = options
  const emulator = createEmulator({ ...rest, ...(stateFile === undefined ? {} : persistence(stateFile)) })
  const listener = getRequestListener(
    // Node's http server without TLS or HTTP/2 hands out these bindings only.
    (request, bindings) =>
      namesThisMachine(request)
        ? emulator.fetch(request, { connection: nodeConnection(bindings as HttpBindings) })
        : new Response('This emulator answers on loopback only.', { status: 403 }),
    { overrideGlobalObjects: false },
  )
  const server = createServer((incoming, outgoing) => void listener(incoming, outgoing))
  // A client that reuses a connection must meet a reset only where a test ordered one.
  server.keepAliveTimeout = IDLE_CONNECTIONS_STAY_OPEN
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, resolve)
  })
  const bound = (server.address() as AddressInfo).port // a listening TCP server has an AddressInfo
  return {
    url: `http://${host === '::1' ? '[::1]' : host}:${bound}`,
    port: bound,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

/** A page of the web must not reach the control routes by a name that resolves to this machine (DNS rebinding). */
const namesThisMachine = (request: Request): boolean =>
  ['127.0.0.1', 'localhost', '[::1]'].includes(new URL(request.url).hostname)

function persistence(stateFile: string): Pick<EmulatorOptions, 'state' | 'onChange'> {
  const state = readStateFile(stateFile)
  return {
    ...(state === undefined ? {} : { state }),
    onChange: (snapshot) => writeStateFile(stateFile, snapshot),
  }
}
