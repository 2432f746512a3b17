/** Liveness and readiness probes. They answer yes or no and must not reveal a reason. */
import { within } from '../../concurrency/deadline.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import { parseConfig } from '../../env.ts'
import { warnIfDoorIsClosed } from '../caller/accessOperator.ts'
import type { App, Ctx } from '../context.ts'
import { READY_CHECK_MS } from '../isolateCache.ts'
import { mount } from '../mount.ts'
import { accountObject, call } from '../objects.ts'

/** Mounted before `requireConfig`: `/healthz` answers without a valid configuration. */
export function healthRoutes(app: App): void {
  mount(app, 'health', (c) => async () => c.json({ ok: true }))

  mount(app, 'ready', (c) => async () => {
    const ready = await isReady(c)
    return c.json({ ready }, ready ? 200 : 503)
  })
}

/** Cached for 10 s and single-flight, so that a flood of probes causes one call to the Account. */
async function isReady(c: Ctx): Promise<boolean> {
  const { readiness, readinessCheck } = c.get('isolateCache')
  const cached = readiness.get('')
  if (cached !== undefined) return cached
  const running = readinessCheck.get('')
  if (running) return within(READY_CHECK_MS, running, () => false)
  const work = checkReadiness(c)
  readinessCheck.set('', work)
  // Keeps the check alive for its followers when its own caller hangs up.
  c.executionCtx.waitUntil(work)
  return work
}

/** Never rejects. */
async function checkReadiness(c: Ctx): Promise<boolean> {
  const { readiness } = c.get('isolateCache')
  const parsed = parseConfig(c.env)
  if (parsed.ok) warnIfDoorIsClosed(parsed.config)
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
  return within(READY_CHECK_MS, asked, () => false)
}
