// The first mint after the object restarts on a large ledger, and the bytes that a mint leaves. Each with a broker of its own.
import { setTimeout as sleep } from 'node:timers/promises'
import { median } from '../load/statistics.ts'
import { type PlainBroker, startPlainBroker } from '../runtime/broker.ts'
import { fillLedger, sizeBytes } from './ledgerFile.ts'
import type { Experiment, Finding, Lab, Row } from './row.ts'
import { BenchTenant, firstMints, POLICY } from './tenant.ts'

const LARGE: Row = {
  id: 'restart-large',
  title: 'first mint after the object restarts, with as many live credentials as stated; upstream 0 ms',
  unit: 'ms',
  better: 'lower',
  must: 50,
  aim: 10,
}
const SMALL: Row = { id: 'restart-small', title: 'the same with 3 live credentials', unit: 'ms', better: 'lower' }
const BYTES: Row = {
  id: 'bytes',
  title: 'bytes of the SQLite file for each mint of a new subject',
  unit: 'bytes',
  better: 'lower',
}

/** Expired rows: the pruning deletes them, and stores the counts of the ledger with it. */
const EXPIRED = 2_000
const TIDIES_UP_MS = 8_000
/** How much room the policy keeps above the rows: a mint must not meet the limit. */
const ROOM = 1_000
const GIVES_UP_MS = 60_000
const ENDS_WITHIN_MS = 4 * 3_600_000

async function withBroker<T>(lab: Lab, work: (broker: PlainBroker) => Promise<T>): Promise<T> {
  const upstream = await lab.upstream()
  upstream.delayMs = 0
  const broker = await startPlainBroker({ rtcUrl: upstream.url, core: lab.core, signer: true })
  try {
    return await work(broker)
  } finally {
    await broker.stop()
  }
}

async function restarts(lab: Lab, broker: PlainBroker): Promise<Finding[]> {
  const { rounds } = lab.effort
  const live = Math.min(lab.effort.liveCredentials, POLICY.maxLiveCredentials - ROOM)
  const tenants = {
    warm: await BenchTenant.create(broker, 'warm'),
    small: await BenchTenant.create(broker, 'small'),
    large: await BenchTenant.create(broker, 'large'),
  }
  const names = ['warm', 'small', 'large'] as const
  const tokens = { warm: [''], small: [''], large: [''] }
  for (const name of names) {
    tokens[name] = await tenants[name].clientTokens(rounds + 2)
  }
  // A caller whose mint is late asks again: the time until a credential is there, whatever was answered before.
  const mintMs = async (name: (typeof names)[number]): Promise<number> => {
    const { path, headers = {}, body = '' } = tenants[name].iceServers(tokens[name].pop() ?? '')
    const begun = performance.now()
    let late = ''
    while (performance.now() - begun < GIVES_UP_MS) {
      const answer = await fetch(broker.url + path, { method: 'POST', headers, body })
      const text = await answer.text()
      if (answer.status === 201 && /"source":"(minted|reused)"/.test(text)) return performance.now() - begun
      if (answer.status < 500) throw new Error(`${name}: ${answer.status} ${text}`)
      if (late === '') lab.say(`${LARGE.id}: the tenant ${name} answered ${answer.status} first, and was asked again.`)
      late = text
    }
    throw new Error(`${name}: no credential within ${GIVES_UP_MS} ms; ${late}`)
  }
  for (const name of names) await mintMs(name)
  await broker.runtime.halt()
  fillLedger(broker.runtime, 'large', { live, withinMs: ENDS_WITHIN_MS, expired: EXPIRED })
  // Not measured: the first start reads the planted rows, prunes the expired ones and stores the counts.
  await broker.runtime.start()
  for (const name of names) await mintMs(name)
  await sleep(lab.effort.quick ? TIDIES_UP_MS / 2 : TIDIES_UP_MS)
  const found = { small: [] as number[], large: [] as number[] }
  for (let round = 0; round < rounds; round++) {
    await broker.runtime.halt()
    await broker.runtime.start()
    await mintMs('warm') // the code of a mint has run once; each tenant's object is still to start
    for (const name of round % 2 === 0 ? (['small', 'large'] as const) : (['large', 'small'] as const))
      found[name].push(await mintMs(name))
  }
  return [
    {
      row: LARGE.id,
      rounds: found.large,
      behind: `${live} live; small ledger ${median(found.small).toPrecision(3)} ms`,
    },
    { row: SMALL.id, rounds: found.small, behind: '' },
  ]
}

async function bytesOfMints(lab: Lab, broker: PlainBroker): Promise<Finding[]> {
  const tenant = await BenchTenant.create(broker, 'bytes')
  const mints = lab.effort.quick ? 1_000 : 5_000
  const mint = async (count: number) => {
    const contender = firstMints(broker, { name: 'broker', tenants: [tenant], perRound: count })
    await lab.drive(contender, { lanes: 8, seconds: 600 })
  }
  const size = async () => {
    await broker.runtime.halt()
    const bytes = sizeBytes(broker.runtime, 'bytes')
    await broker.runtime.start()
    return bytes
  }
  await mint(100)
  const before = await size()
  await mint(mints)
  const after = await size()
  return [{ row: BYTES.id, rounds: [(after - before) / mints], behind: `${mints} mints` }]
}

export const RESTARTS: readonly Experiment[] = [
  { rows: [LARGE, SMALL], run: (lab) => withBroker(lab, (broker) => restarts(lab, broker)) },
  { rows: [BYTES], run: (lab) => withBroker(lab, (broker) => bytesOfMints(lab, broker)) },
]
