/** Liveness and readiness probes. They answer yes or no and must not reveal a reason. */
import { within } from '../../concurrency/deadline.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import { parseConfig } from '../../env.ts'
import type { App, Ctx } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, call } from '../objects.ts'

const READY_DEADLINE_MS = 3_000

/** Mounted before `requireConfig`: `/healthz` answers without a valid configuration. */
export function healthRoutes(app: App): void {
  mount(app, 'health', (c) => async () => c.json({ ok: true }))

  mount(app, 'ready', (c) => async () => {
    const ready = await isReady(c)
    return c.json({ ready }, ready ? 200 : 503)
  })
}

/** Cached for 10 s, so that a flood of probes causes one call to the Account. */
async function isReady(c: Ctx): Promise<boolean> {
  const { readiness } = c.get('isolateCache')
  const cached = readiness.get('')
  if (cached !== undefined) return cached
  const parsed = parseConfig(c.env)
  const ready = parsed.ok && (await allIsReadable(c, parsed.config.rootKeys))
  readiness.set('', ready)
  return ready
}

/** Whether the Account answers in time and every needed root key is configured. */
async function allIsReadable(c: Ctx, { ids }: RootKeys): Promise<boolean> {
  const asked = call(accountObject(c).neededRootKeys()).then(
    (needed) => needed.every((id) => ids.includes(id)),
    () => false,
  )
  return within(READY_DEADLINE_MS, asked, () => false)
}
