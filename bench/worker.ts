/**
 * The broker's own objects in plain workerd, for the benchmark: KV and rate limiters, which plain workerd does not have, are
 * stubs; Durable Objects, SQLite, RPC and the HTTP to the emulator are real. Beside them an object that only counts.
 */
import { DurableObject } from 'cloudflare:workers'
import { Account as RealAccount } from '../src/account/account.ts'
import { createApp } from '../src/app.ts'
import { Tenant as RealTenant } from '../src/tenant/tenant.ts'

const app = createApp()

const stubs = {
  CACHE: { get: async () => null, put: async () => undefined },
  RATE_IP: { limit: async () => ({ success: true }) },
  RATE_TENANT: { limit: async () => ({ success: true }) },
  RATE_SUBJECT: { limit: async () => ({ success: true }) },
}
const complete = (env: object): Env => ({ ...env, ...stubs }) as unknown as Env // only what the broker calls

export class Tenant extends RealTenant {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, complete(env))
  }

  storageBytes(): number {
    return this.ctx.storage.sql.databaseSize
  }
}

export class Account extends RealAccount {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, complete(env))
  }
}

/** The floor: one RPC, one row written, one commit. */
export class Counter extends DurableObject {
  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env)
    ctx.storage.sql.exec('CREATE TABLE IF NOT EXISTS counter (n INTEGER)')
    ctx.storage.sql.exec('INSERT INTO counter SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM counter)')
  }

  increment(): number {
    return this.ctx.storage.sql.exec<{ n: number }>('UPDATE counter SET n = n + 1 RETURNING n').one().n
  }
}

type BenchEnv = Omit<Env, 'TENANTS'> & {
  TENANTS: DurableObjectNamespace<Tenant>
  COUNTER: DurableObjectNamespace<Counter>
}

export default {
  async fetch(request: Request, env: BenchEnv, ctx: ExecutionContext): Promise<Response> {
    const url = new URL(request.url)
    if (!url.pathname.startsWith('/bench/')) return app.fetch(request, complete(env), ctx)

    const [seconds, width] = [Number(url.searchParams.get('seconds')), Number(url.searchParams.get('width'))]
    const tenant = env.TENANTS.get(env.TENANTS.idFromName('bench'))
    const counter = env.COUNTER.get(env.COUNTER.idFromName('bench'))
    const before = await tenant.storageBytes()
    let subject = 0
    const operations: Record<string, () => Promise<void>> = {
      mint: async () => {
        const issued = await tenant.issue({
          requestId: 'bench',
          asker: { kind: 'server', caller: { kind: 'operator', name: 'bench' } },
          subject: `subject-${subject++ % 5_000}`,
          requestedTtlSeconds: 3_600,
          keyId: null,
          origin: null,
          reuse: 'never',
        })
        if (!issued.ok) throw new Error(issued.failure.code)
      },
      count: async () => {
        await counter.increment()
      },
    }
    const operation = operations[url.pathname.slice('/bench/'.length)]
    if (!operation) return new Response('no such benchmark', { status: 404 })
    const { done, ms } = await repeat(operation, seconds * 1_000, width)
    return Response.json({ done, ms, bytes: (await tenant.storageBytes()) - before })
  },
}

/** Runs `width` of an operation at once until the time is over. */
async function repeat(
  operation: () => Promise<void>,
  forMs: number,
  width: number,
): Promise<{ done: number; ms: number }> {
  const begun = Date.now()
  let done = 0
  const lane = async () => {
    while (Date.now() - begun < forMs) {
      await operation()
      done++
    }
  }
  await Promise.all(Array.from({ length: width }, lane))
  return { done, ms: Date.now() - begun }
}
