/** The floors of the look-up and of the refusal: a Hono handler with one KV get, and a bare 401 with given headers. */
import { Hono } from 'hono'

interface BareEnv {
  readonly CACHE: KVNamespace
  /** JSON: the answer that `/refused` gives. */
  readonly REFUSAL: string
}

const KEY = 'bare'
const KV_CACHE_TTL_SECONDS = 30

const app = new Hono<{ Bindings: BareEnv }>()
  .put('/kv', async (c) => {
    await c.env.CACHE.put(KEY, await c.req.text())
    return c.body(null, 204)
  })
  .get('/kv', async (c) => {
    const value = await c.env.CACHE.get<object>(KEY, { type: 'json', cacheTtl: KV_CACHE_TTL_SECONDS })
    return c.json(value ?? {}, value ? 200 : 404)
  })

let refusal: { readonly headers: Record<string, string>; readonly body: string } | undefined

export default {
  fetch(request: Request, env: BareEnv, ctx: ExecutionContext): Response | Promise<Response> {
    if (request.method === 'POST' && refusal)
      return new Response(refusal.body, { status: 401, headers: refusal.headers })
    if (request.method !== 'PATCH') return app.fetch(request, env, ctx)
    return request.json<typeof refusal>().then((given) => {
      refusal = given
      return new Response(null, { status: 204 })
    })
  },
}
