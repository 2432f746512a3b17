// Drives one server with a number of lanes, each of which sends its next request when the one before was answered.
import { Pool } from 'undici'
import { cpuMs } from '../runtime/cores.ts'
import { median } from './statistics.ts'

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH'
  readonly path: string
  readonly headers?: Record<string, string>
  readonly body?: string
}

export interface Contender {
  readonly name: string
  readonly url: string
  /** The runtime's process, whose processor time is read. */
  readonly pid: number
  /** An answer with another status is a failure, and not measured. */
  readonly expects: number
  /** Before a round, outside of its time. */
  readonly prepare?: () => Promise<void>
  /** The next request; `undefined`: none is left, the round ends early. */
  readonly next: () => Ask | undefined
}

export interface Load {
  readonly lanes: number
  readonly seconds: number
}

export interface Sample {
  readonly p50Ms: number
  readonly perSecond: number
  /** Processor time of the runtime for one request; `undefined` where /proc does not tell. */
  readonly cpuMsEach: number | undefined
  readonly done: number
  /** How many requests failed, and one of their answers. */
  readonly failed: number
  readonly failure: string
}

/** More failures than this share end the benchmark: it must not measure errors. */
const TOLERATED = 0.05
const TOLERATED_AT_LEAST = 3

/** One round. The first request of each lane is not measured: connections are made, and idle ones may have been closed. */
export async function drive(contender: Contender, load: Load): Promise<Sample> {
  const { lanes, seconds } = load
  await contender.prepare?.()
  const pool = new Pool(contender.url, { connections: lanes, pipelining: 1 })
  let failed = 0
  let failure = ''
  const ask = async (): Promise<'done' | 'failed' | 'none left'> => {
    const request = contender.next()
    if (!request) return 'none left'
    const { statusCode, body } = await pool.request(request)
    const text = await body.text()
    if (statusCode === contender.expects) return 'done'
    failed++
    failure = `${contender.name}: ${statusCode} ${text.slice(0, 300)}`
    return 'failed'
  }
  try {
    await Promise.all(Array.from({ length: lanes }, ask))
    const latenciesMs: number[] = []
    const cpuBefore = cpuMs(contender.pid)
    const begun = performance.now()
    const lane = async () => {
      for (let sent = performance.now(); sent - begun < seconds * 1_000; ) {
        const outcome = await ask()
        if (outcome === 'none left') return
        const now = performance.now()
        if (outcome === 'done') latenciesMs.push(now - sent)
        sent = now
      }
    }
    await Promise.all(Array.from({ length: lanes }, lane))
    const elapsedMs = performance.now() - begun
    const cpuAfter = cpuMs(contender.pid)
    const done = latenciesMs.length
    if (failed > Math.max(TOLERATED_AT_LEAST, TOLERATED * (done + failed)))
      throw new Error(`${failed} failed: ${failure}`)
    return {
      p50Ms: median(latenciesMs),
      perSecond: (done * 1_000) / elapsedMs,
      cpuMsEach: cpuBefore === undefined || cpuAfter === undefined ? undefined : (cpuAfter - cpuBefore) / done,
      done,
      failed,
      failure,
    }
  } finally {
    await pool.close()
  }
}

/** Rounds in which each contender has its turn; who begins changes, so that none always follows the same one. */
export async function interleaved<Name extends string, Result>(
  names: readonly Name[],
  rounds: number,
  turn: (name: Name) => Promise<Result>,
): Promise<Record<Name, Result[]>> {
  const results = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<Name, Result[]> // all names
  for (let round = 0; round < rounds; round++) {
    for (let n = 0; n < names.length; n++) {
      const name = names[(round + n) % names.length]
      if (name !== undefined) results[name].push(await turn(name))
    }
  }
  return results
}
