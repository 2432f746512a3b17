/**
 * The jobs that an object has under way. An alarm waits only a second for them, and the object's own alarm may be running when a
 * test runs one by hand: a test that looks at the outcome waits for all of them.
 */
import { Account } from '../../../src/account/account.ts'
import { type JobHandlers, Jobs } from '../../../src/storage/jobs.ts'
import { Tenant } from '../../../src/tenant/tenant.ts'

type Handled = JobHandlers<string>[string]

// The files that one workerd runs share the classes.
const WATCHED = Symbol.for('turn-broker.jobsUnderWay')
const scope = globalThis as unknown as { [WATCHED]?: WeakMap<object, Set<Promise<unknown>>> }
const underWay = scope[WATCHED] ?? watch()
scope[WATCHED] = underWay

function watch(): WeakMap<object, Set<Promise<unknown>>> {
  const watched = new WeakMap<object, Set<Promise<unknown>>>()
  let alarmed: object | null = null
  for (const { prototype } of [Tenant, Account] as { prototype: { alarm(): Promise<void> } }[]) {
    const { alarm } = prototype
    prototype.alarm = function watchedAlarm(this: object) {
      alarmed = this
      return alarm.call(this)
    }
  }
  const { run } = Jobs.prototype
  // `alarm` calls `run` before it awaits anything.
  Jobs.prototype.run = function watchedRun(this: Jobs<string>, handlers: JobHandlers<string>) {
    const works = (alarmed && watched.get(alarmed)) ?? new Set()
    if (alarmed) watched.set(alarmed, works)
    const counted =
      (handler: Handled): Handled =>
      (job) => {
        const work = handler(job)
        works.add(work)
        // The outcome is written in the ticks after the handler has ended.
        const ended = () => void scheduler.wait(0).then(() => works.delete(work))
        work.then(ended, ended)
        return work
      }
    const all = Object.entries(handlers).map(([kind, handler]) => [kind, counted(handler)] as const)
    return run.call(this, Object.fromEntries(all))
  }
  return watched
}

/** Resolves when no job of this object is under way. */
export async function jobsEnded(object: object): Promise<void> {
  const works = underWay.get(object)
  while (works && works.size > 0) {
    await Promise.allSettled(works)
    await scheduler.wait(1)
  }
}
