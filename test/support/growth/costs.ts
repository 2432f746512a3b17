/**
 * G15 as a table: what an operation may read and write, and what it does. The rows are counted by the runtime, over both objects,
 * for everything that happens while an operation runs.
 */
import { runInDurableObject } from 'cloudflare:test'
import { expect } from 'vitest'
import { Account } from '../../../src/account/account.ts'
import { type JobHandlers, Jobs } from '../../../src/storage/jobs.ts'
import { Tenant } from '../../../src/tenant/tenant.ts'
import { meterSql } from '../storage/sqlMeter.ts'
import { accountStub } from '../storage/tenantRows.ts'

export interface CostRow {
  /** Name of the RPC method, or kind of the job. */
  readonly of: string
  /** Says which case it is, where there are several. */
  readonly case?: string
  readonly run: () => Promise<unknown>
  /** Outside the count. */
  readonly before?: () => Promise<unknown>
  /** Outside the count: expects that the work was done. */
  readonly after?: () => Promise<unknown>
  /** How many rows it returns or changes; 1 by default. */
  readonly rows?: number
  /** How many rows it may look at beyond that, where the documents say so. */
  readonly looks?: number
}

export interface Offence {
  readonly of: string
  readonly rowsRead: number
  readonly mayRead: number
  readonly rowsWritten: number
  readonly mayWrite: number
}

const nameOf = (row: CostRow) => (row.case ? `${row.of}: ${row.case}` : row.of)

/** Runs every row of the table, one after the other. Returns those that cost more than they may. */
export async function offencesOf(table: readonly CostRow[]): Promise<Offence[]> {
  const offences: Offence[] = []
  for (const row of table) {
    await row.before?.()
    const meter = await runInDurableObject(accountStub(), (_, { storage }) => meterSql(storage.sql))
    let cost: { rowsRead: number; rowsWritten: number }
    try {
      const answer: unknown = await row.run()
      // An RPC that fails costs little and shows nothing.
      expect(answer, nameOf(row)).not.toMatchObject({ ok: false })
    } finally {
      cost = meter.stop()
    }
    await row.after?.()
    const { rowsRead, rowsWritten } = cost
    const mayRead = 4 * (row.rows ?? 1) + 50 + (row.looks ?? 0)
    const mayWrite = 8 * (row.rows ?? 1) + 10
    const isOver = rowsRead > mayRead || rowsWritten > mayWrite
    if (isOver) offences.push({ of: nameOf(row), rowsRead, mayRead, rowsWritten, mayWrite })
  }
  return offences
}

const CLASSES = { Tenant, Account } as const

/** The RPC methods of a class: what it has of its own beyond the runtime's. */
export const methodsOf = (name: keyof typeof CLASSES): string[] =>
  Object.getOwnPropertyNames(CLASSES[name].prototype)
    .filter((method) => method !== 'constructor' && method !== 'alarm')
    .sort()

/** Notes the RPC methods that are called, the kinds of jobs that there are, and those that are run, until `stop`. */
export function watchCalls() {
  const [called, ran] = [new Set<string>(), new Set<string>()]
  const kinds = { Tenant: new Set<string>(), Account: new Set<string>() }
  const restores: (() => void)[] = []
  for (const [name, { prototype }] of Object.entries(CLASSES)) {
    const methods = prototype as unknown as Record<string, (...given: unknown[]) => unknown> // called by their names
    for (const method of methodsOf(name as keyof typeof CLASSES)) {
      const real = methods[method]
      if (!real) continue
      methods[method] = function noted(this: object, ...given: unknown[]) {
        called.add(`${name}.${method}`)
        return real.apply(this, given)
      }
      restores.push(() => {
        methods[method] = real
      })
    }
  }
  const { run } = Jobs.prototype
  Jobs.prototype.run = function noted(this: Jobs<string>, handlers: JobHandlers<string>) {
    const noted = Object.entries(handlers).map(([kind, handler]) => {
      kinds['sweep' in handlers ? 'Account' : 'Tenant'].add(kind)
      const run: typeof handler = (job) => {
        ran.add(kind)
        return handler(job)
      }
      return [kind, run] as const
    })
    return run.call(this, Object.fromEntries(noted))
  }
  restores.push(() => {
    Jobs.prototype.run = run
  })
  return {
    called,
    kinds,
    ran,
    stop() {
      for (const restore of restores) restore()
    },
  }
}
