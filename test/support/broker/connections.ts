/**
 * Counts the connections of each Durable Object under test that wait for the headers of an answer: its own `fetch` and its own
 * calls of KV. Cloudflare queues an object's seventh, and the local runtime does not, so the count is the only witness.
 */
import { env } from 'cloudflare:workers'
import { AsyncLocalStorage } from 'node:async_hooks'
import { Account } from '../../../src/account/account.ts'
import { TenantObject } from '../../../src/tenant/object.ts'
import { Tenant } from '../../../src/tenant/tenant.ts'

/** What a Durable Object has. */
export const CONNECTIONS = 6

interface Count {
  readonly object: string
  now: number
  most: number
}

type Method = (this: object, ...args: unknown[]) => unknown

interface Installed {
  /** The object whose code runs. */
  readonly running: AsyncLocalStorage<Count>
  readonly counts: Map<object, Count>
}

// The setup runs once for each file of a runtime; the globals and classes are wrapped by the first.
const INSTALLED = Symbol.for('turn-broker.countedConnections')
const scope = globalThis as typeof globalThis & { [INSTALLED]?: Installed }
scope[INSTALLED] ??= install()
const { running, counts } = scope[INSTALLED]

function install(): Installed {
  const installed: Installed = { running: new AsyncLocalStorage(), counts: new Map() }
  const realFetch = globalThis.fetch
  globalThis.fetch = (...args) => counted(installed, () => realFetch(...args))
  wrap(Object.getPrototypeOf(env.CACHE), ['get', 'getWithMetadata', 'put', 'delete', 'list'], (real) => {
    return function (...args) {
      return counted(installed, () => real.apply(this, args) as Promise<unknown>) // KV answers promises
    }
  })
  for (const { prototype } of [Tenant, TenantObject, Account] as { prototype: object }[]) {
    const methods = Object.getOwnPropertyNames(prototype).filter((name) => name !== 'constructor')
    wrap(prototype, methods, (real) => {
      return function (...args) {
        return installed.running.run(countOf(installed, this), () => real.apply(this, args))
      }
    })
  }
  return installed
}

function wrap(target: object, names: readonly string[], around: (real: Method) => Method): void {
  for (const name of names) {
    const real = Reflect.get(target, name) as unknown // any property; only functions are wrapped
    if (typeof real === 'function') Reflect.set(target, name, around(real as Method))
  }
}

function countOf({ counts }: Installed, instance: object): Count {
  const known = counts.get(instance)
  if (known) return known
  const count = { object: instance.constructor.name, now: 0, most: 0 }
  counts.set(instance, count)
  return count
}

function counted<T>({ running }: Installed, ask: () => Promise<T>): Promise<T> {
  const count = running.getStore()
  const asked = ask()
  if (!count) return asked
  count.now++
  count.most = Math.max(count.most, count.now)
  const ended = () => {
    count.now--
  }
  asked.then(ended, ended)
  return asked
}

/** Runs `work` as if it were code of an object of its own. */
export function inObject<T>(name: string, work: () => T): T {
  const count = { object: name, now: 0, most: 0 }
  counts.set(count, count)
  return running.run(count, work)
}

/** The most connections that one object had at once since the last `forgetConnections`, and which object. */
export function mostConnections(): { readonly object: string; readonly most: number } {
  const [{ object, most } = { object: 'none', most: 0 }] = [...counts.values()].sort((a, b) => b.most - a.most)
  return { object, most }
}

export const forgetConnections = (): void => counts.clear()
