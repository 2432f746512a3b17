// Cloudflare's two TURN APIs and the control routes as one Hono app: the table of contents. Runs in any runtime that has
// fetch and WebCrypto; no rule lives here.
import { type Context, Hono } from 'hono'
import type { Operation } from './api/operations.ts'
import { failure, NO_SUCH_ROUTE, toResponse } from './http/answer.ts'
import type { Connection } from './http/connection.ts'
import { controlRoutes } from './http/control.ts'
import { receive } from './http/receive.ts'
import type { Snapshot } from './world/state.ts'
import { type EmulatorOptions, World } from './world/world.ts'

const TURN_KEYS = '/client/v4/accounts/:account/calls/turn_keys'
const CREDENTIALS = '/v1/turn/keys/:uid/credentials'

interface Bindings {
  /** Given by a server with real sockets, for the faults that need them. */
  connection?: Connection
}

export interface Emulator {
  fetch(request: Request, bindings?: Bindings): Promise<Response>
  snapshot(): Snapshot
}

export function createEmulator(options: EmulatorOptions = {}): Emulator {
  const world = new World(options)
  const on = (operation: Operation) => (c: Context<{ Bindings: Bindings }>) =>
    receive(world, {
      operation,
      method: c.req.method,
      path: c.req.path,
      params: {
        account: c.req.param('account') ?? '',
        uid: c.req.param('uid') ?? '',
        username: c.req.param('username') ?? '',
      },
      authorization: c.req.header('authorization'),
      readBody: () => c.req.text(),
      connection: c.env.connection ?? null,
    })

  const app = new Hono<{ Bindings: Bindings }>()
    .route('/__emulator', controlRoutes(world))
    .get(TURN_KEYS, on('list'))
    .post(TURN_KEYS, on('create'))
    .get(`${TURN_KEYS}/:uid`, on('get'))
    .put(`${TURN_KEYS}/:uid`, on('update'))
    .delete(`${TURN_KEYS}/:uid`, on('delete'))
    .post(`${CREDENTIALS}/generate-ice-servers`, on('generate-ice-servers'))
    .post(`${CREDENTIALS}/generate`, on('generate'))
    .post(`${CREDENTIALS}/:username/revoke`, on('revoke'))
    .notFound((c) => {
      const entry = world.log.open({
        operation: 'unknown',
        method: c.req.method,
        path: c.req.path,
        atMs: world.realNowMs(),
      })
      entry.status = 404
      return toResponse(failure(404, NO_SUCH_ROUTE, 'No such route'))
    })

  return {
    fetch: async (request, bindings = {}) => app.fetch(request, bindings),
    snapshot: () => world.state.snapshot(world.nowMs()),
  }
}
