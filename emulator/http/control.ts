// The control routes, by which a test orders faults, looks at what arrived and changes the state behind a client's back.
// Not part of anything Cloudflare has.
import { type Context, Hono } from 'hono'
import * as z from 'zod'
import { FaultOrder } from '../faults/faults.ts'
import { Settings } from '../world/settings.ts'
import type { Credential, TurnKey } from '../world/state.ts'
import type { World } from '../world/world.ts'

const MAX_WAIT_MS = 30_000

const Release = z.strictObject({ id: z.string().min(1) })
const NewPlantedKey = z.strictObject({ account: z.string().min(1), name: z.string().default('') })
const WaitingQuery = z.object({
  /** With it the answer comes once `count` operations are held under this id, or after `withinMs`. */
  id: z.string().optional(),
  count: z.coerce.number().int().min(1).default(1),
  withinMs: z.coerce.number().int().min(0).max(MAX_WAIT_MS).default(5_000),
})

export function controlRoutes(world: World): Hono {
  return new Hono()
    .post('/faults', async (c) => {
      world.faults.add(FaultOrder.parse(await bodyOf(c)), world.realNowMs())
      return c.body(null, 204)
    })
    .delete('/faults', (c) => {
      world.faults.clear()
      return c.body(null, 204)
    })
    .get('/log', (c) => c.json(world.log.entries()))
    .delete('/log', (c) => {
      world.log.clear()
      return c.body(null, 204)
    })
    .get('/state', (c) => c.json(stateWithoutSecrets(world)))
    .get('/secrets', (c) => c.json(secrets(world)))
    .post('/reset', (c) => {
      world.reset()
      return c.body(null, 204)
    })
    .get('/settings', (c) => c.json(world.settings))
    .put('/settings', async (c) => {
      const change = z.record(z.string(), z.unknown()).parse(await bodyOf(c))
      world.settings = Settings.parse({ ...world.settings, ...change })
      return c.json(world.settings)
    })
    .get('/waiting', async (c) => {
      const { id, count, withinMs } = WaitingQuery.parse(c.req.query())
      if (id !== undefined) await world.holds.untilHeld(id, { count, withinMs })
      return c.json(world.holds.waiting())
    })
    .post('/release', async (c) => c.json({ released: world.holds.release(Release.parse(await bodyOf(c)).id) }))
    .post('/keys', async (c) => {
      const wanted = NewPlantedKey.parse(await bodyOf(c))
      const key = world.state.addKey({ ...wanted, nowMs: world.nowMs(), planted: true })
      return c.json({ ...shownKey(key), key: key.key }, 201)
    })
    .delete('/keys/:uid', (c) => {
      const key = world.state.key(c.req.param('uid'))
      if (key === undefined || key.deletedMs !== null) return c.json({ error: 'no such key' }, 404)
      world.state.deleteKey(key, world.nowMs())
      return c.body(null, 204)
    })
    .notFound((c) => c.json({ error: 'no such control route' }, 404))
    .onError((error, c) => {
      if (!(error instanceof z.ZodError || error instanceof SyntaxError)) throw error
      return c.json({ error: error.message }, 400)
    })
}

async function bodyOf(c: Context): Promise<unknown> {
  return JSON.parse(await c.req.text())
}

export type ShownKey = ReturnType<typeof shownKey>
export type ShownState = ReturnType<typeof stateWithoutSecrets>
export type Secrets = ReturnType<typeof secrets>

function shownKey(key: TurnKey) {
  return {
    account: key.account,
    uid: key.uid,
    name: key.name,
    created: rfc3339(key.createdMs),
    modified: rfc3339(key.modifiedMs),
    deleted: key.deletedMs === null ? null : rfc3339(key.deletedMs),
    planted: key.planted,
  }
}

function shownCredential(credential: Credential) {
  return {
    uid: credential.uid,
    username: credential.username,
    ttl: credential.ttlSeconds,
    created: rfc3339(credential.createdMs),
    expiresAt: rfc3339(credential.expiresAtMs),
    customIdentifier: credential.customIdentifier,
    revoked: credential.revokedMs !== null,
  }
}

function stateWithoutSecrets(world: World) {
  return { keys: world.state.keys().map(shownKey), credentials: world.state.credentials().map(shownCredential) }
}

/** Every secret ever handed out, so that a test can search a log or a database for it. */
function secrets(world: World) {
  return {
    keys: world.state.keys().map(({ uid, key }) => ({ uid, key })),
    credentials: world.state.credentials().map(({ username, credential }) => ({ username, credential })),
  }
}

function rfc3339(ms: number): string {
  return new Date(ms).toISOString()
}
