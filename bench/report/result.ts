// What a run found: the figures of each row, and under which conditions. Written as JSON; table, plot and page show it.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Summary, summarize, verdict } from '../load/statistics.ts'
import type { Effort, Finding, Row } from '../rows/row.ts'
import { POLICY } from '../rows/tenant.ts'
import { LIMITS } from '../runtime/broker.ts'
import type { Cores } from '../runtime/cores.ts'
import { storesInMemory, workerdVersion } from '../runtime/workerd.ts'

const root = path.join(import.meta.dirname, '../..')

/** More waiting processes than this for each processor. */
const BUSY_SHARE = 0.5

export interface Conditions {
  readonly date: string
  readonly commit: string
  readonly machine: string
  readonly node: string
  readonly workerd: string
  /** `null`: all share all processors. */
  readonly cores: Cores | null
  readonly storage: 'memory' | 'disk'
  readonly upstream: string
  readonly policy: object
  /** Requests a minute, as run and as shipped in wrangler.toml. */
  readonly rates: { readonly run: Record<string, number>; readonly shipped: Record<string, number> }
  readonly effort: Effort
  /** Processes that wanted to run, on average: at the beginning and at the end. */
  readonly loadAverage: readonly number[]
  /** Whether other programs had work before it began: then the figures are theirs too. */
  readonly busy: boolean
}

export interface Line extends Row, Summary {
  readonly rounds: readonly number[]
  readonly verdict: ReturnType<typeof verdict>
  readonly partytracks: Summary | null
  readonly behind: string
}

export interface Result {
  readonly conditions: Conditions
  readonly lines: readonly Line[]
  /** What was left out, and why. */
  readonly remarks: readonly string[]
}

export function toLine(row: Row, { rounds, partytracks, behind }: Finding): Line {
  const summary = summarize(rounds)
  return {
    ...row,
    ...summary,
    rounds,
    verdict: verdict(summary, { must: row.must, better: row.better }),
    partytracks: partytracks && partytracks.length > 0 ? summarize(partytracks) : null,
    behind,
  }
}

export function conditions(of: { cores: Cores | undefined; effort: Effort; loadBefore: number }): Conditions {
  const oneMinute = () => Number((os.loadavg()[0] ?? 0).toFixed(2))
  return {
    date: new Date().toISOString(),
    commit: commit(),
    machine: `${os.cpus().length} × ${os.cpus()[0]?.model ?? 'unknown'}, ${os.type()} ${os.release()}`,
    node: process.version,
    workerd: workerdVersion(),
    cores: of.cores ?? null,
    storage: storesInMemory() ? 'memory' : 'disk',
    upstream: 'bench/load/upstream.ts, a light server in the process of the load',
    policy: POLICY,
    rates: { run: LIMITS, shipped: shippedRates() },
    effort: of.effort,
    loadAverage: [of.loadBefore, oneMinute()],
    busy: of.loadBefore > BUSY_SHARE * os.cpus().length,
  }
}

function commit(): string {
  const git = (...args: string[]) => execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  try {
    return `${git('rev-parse', '--short', 'HEAD')}${git('status', '--porcelain') === '' ? '' : ' with changes'}`
  } catch {
    return 'unknown'
  }
}

/** The limits of wrangler.toml, requests a minute. */
export function shippedRates(toml = readFileSync(path.join(root, 'wrangler.toml'), 'utf8')): Record<string, number> {
  const found = toml.matchAll(/name = "(RATE_\w+)"[^[]*?limit = (\d+), period = (\d+)/g)
  return Object.fromEntries([...found].map(([, name, limit, period]) => [name, (Number(limit) * 60) / Number(period)]))
}
