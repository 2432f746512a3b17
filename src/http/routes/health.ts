/** Is it up, can it work. Says yes or no, and why to nobody. */
import { within } from '../../concurrency/deadline.ts'
import type { RootKeys } from '../../crypto/rootKeys.ts'
import { parseConfig } from '../../env.ts'
import type { App, Ctx } from '../context.ts'
import { mount } from '../mount.ts'
import { accountObject, call } from '../objects.ts'

const READY_DEADLINE_MS = 3_000

/** Mounted before the configuration is required: an isolate that runs is up. */
export function healthRoutes(app: App): void {
  mount(app, 'health', (c) => async () => c.json({ ok: true }))

  mount(app, 'ready', (c) => async () => {
    const ready = await isReady(c)
    return c.json({ ready }, ready ? 200 : 503)
  })
}

/** Remembered for ten seconds, so that a probe, or a flood of them, costs one question. */
async function isReady(c: Ctx): Promise<boolean> {
  const { readiness } = c.get('edge')
  const known = readiness.get('')
  if (known !== undefined) return known
  const parsed = parseConfig(c.env)
  const ready = parsed.ok && (await allIsReadable(c, parsed.config.rootKeys))
  readiness.set('', ready)
  return ready
}

/** The Account answers, and every root key that something needs is configured. */
async function allIsReadable(c: Ctx, { ids }: RootKeys): Promise<boolean> {
  const asked = call(accountObject(c).neededRootKeys()).then(
    (needed) => needed.every((id) => ids.includes(id)),
    () => false,
  )
  return within(READY_DEADLINE_MS, asked, () => false)
}
