// First mints beside naive and partytracks: how long, how many a second, and what processor time.
import { type Contender, interleaved, type Sample } from '../load/drive.ts'
import { median, ratios } from '../load/statistics.ts'
import type { Experiment, Finding, Lab, Row } from './row.ts'
import { always, BenchTenant, firstMints } from './tenant.ts'

const MANY_TENANTS = 100
const FASTEST_HOP_MS = 2

interface Setting {
  readonly lanes: number
  readonly upstreamMs: number
}

/** The most mints that a round can do: what must be ready when it begins. */
const mostMints = ({ lanes, upstreamMs }: Setting, seconds: number) =>
  Math.ceil((lanes * (seconds + 0.2) * 1_000) / (upstreamMs + FASTEST_HOP_MS)) + 2 * lanes

/** A round of many lanes must be long beside the time that a full queue takes. */
const turnSeconds = (lab: Lab, lanes: number) => (lanes > 16 ? 1 : 0.5) * 2 * lab.effort.seconds

/** Naive: any POST. partytracks: its route. */
async function peersOf(lab: Lab): Promise<{ naive: Contender; partytracks: Contender }> {
  const peers = await lab.peers()
  const of = { pid: peers.runtime.pid(), expects: 201 }
  return {
    naive: always({ ...of, name: 'naive', url: peers.naive }, [{ method: 'POST', path: '/' }]),
    partytracks: always({ ...of, name: 'partytracks', url: peers.partytracks }, [
      { method: 'POST', path: '/partytracks/generate-ice-servers' },
    ]),
  }
}

async function rounds<Name extends string>(
  lab: Lab,
  contenders: Record<Name, Contender>,
  { lanes, upstreamMs }: Setting,
): Promise<Record<Name, Sample[]>> {
  const { rounds } = lab.effort
  const seconds = turnSeconds(lab, lanes)
  ;(await lab.upstream()).delayMs = upstreamMs
  const names = Object.keys(contenders) as Name[] // a record has its own names
  for (const name of names) await lab.drive(contenders[name], { lanes, seconds: 0.3 })
  return interleaved(names, rounds, (name) => lab.drive(contenders[name], { lanes, seconds }))
}

const p50 = (samples: readonly Sample[]) => samples.map(({ p50Ms }) => p50Ms)
const rate = (samples: readonly Sample[]) => samples.map(({ perSecond }) => perSecond)
const figure = (values: readonly number[]) => median(values).toPrecision(3)

/** p50 of first mints of one tenant; at 16 lanes and 20 ms also the processor time of a mint. */
function latency(setting: Setting, row: Row, cpu?: Row): Experiment {
  return {
    rows: cpu ? [row, cpu] : [row],
    async run(lab) {
      const [broker, tenant] = [await lab.broker(), await lab.tenant()]
      const perRound = mostMints(setting, turnSeconds(lab, setting.lanes))
      const ours = firstMints(broker, { name: 'broker', tenants: [tenant], perRound })
      const found = await rounds(lab, { broker: ours, ...(await peersOf(lab)) }, setting)
      const naive = p50(found.naive)
      const findings: Finding[] = [
        {
          row: row.id,
          rounds: ratios(p50(found.broker), naive),
          partytracks: ratios(p50(found.partytracks), naive),
          behind: `${figure(p50(found.broker))} ms, naive ${figure(naive)} ms`,
        },
      ]
      if (cpu) findings.push(...processorTime(lab, cpu, found))
      return findings
    },
  }
}

function processorTime(lab: Lab, row: Row, found: Record<'broker' | 'naive' | 'partytracks', Sample[]>): Finding[] {
  const cpu = (samples: readonly Sample[]) => samples.flatMap(({ cpuMsEach }) => cpuMsEach ?? [])
  const [ours, naive, partytracks] = [cpu(found.broker), cpu(found.naive), cpu(found.partytracks)]
  if (ours.length === 0) {
    lab.say(`${row.id}: left out, because there is no /proc here.`)
    return []
  }
  return [{ row: row.id, rounds: ours, partytracks, behind: `naive ${figure(naive)} ms` }]
}

const ONE: Row = {
  id: 'rate-one',
  title: 'mints a second of one tenant; upstream 80 ms, c=64',
  unit: '/s',
  better: 'higher',
  must: 350,
  aim: 500,
}
const OF_NAIVE: Row = {
  id: 'rate-of-naive',
  title: 'the same ÷ naive',
  unit: '×',
  better: 'higher',
  must: 0.45,
}
const HUNDRED: Row = {
  id: 'rate-hundred',
  title: `the same of ${MANY_TENANTS} tenants together`,
  unit: '/s',
  better: 'higher',
}

const throughput: Experiment = {
  rows: [ONE, OF_NAIVE, HUNDRED],
  async run(lab) {
    const setting = { lanes: 64, upstreamMs: 80 }
    const [broker, tenant] = [await lab.broker(), await lab.tenant()]
    const tenants: BenchTenant[] = []
    for (let n = 0; n < MANY_TENANTS; n++) tenants.push(await BenchTenant.create(broker, `many-${n}`))
    const perRound = mostMints(setting, turnSeconds(lab, setting.lanes))
    const { naive } = await peersOf(lab)
    const contenders = {
      one: firstMints(broker, { name: 'one tenant', tenants: [tenant], perRound }),
      hundred: firstMints(broker, { name: 'a hundred tenants', tenants, perRound }),
      naive,
    }
    const found = await rounds(lab, contenders, setting)
    const behind = `naive ${figure(rate(found.naive))}/s`
    return [
      { row: ONE.id, rounds: rate(found.one), behind },
      { row: OF_NAIVE.id, rounds: ratios(rate(found.one), rate(found.naive)), behind },
      { row: HUNDRED.id, rounds: rate(found.hundred), behind },
    ]
  },
}

const lowerRatio = { unit: '×', better: 'lower' } as const
const title = (lanes: number, ms: number) => `first mint, p50 ÷ naive; upstream ${ms} ms, c=${lanes}`
const CPU: Row = {
  id: 'mint-cpu',
  title: 'processor time of a mint; upstream 20 ms, c=16',
  unit: 'ms',
  better: 'lower',
  must: 1.75,
  aim: 1.5,
}

export const MINTS: readonly Experiment[] = [
  latency({ lanes: 1, upstreamMs: 20 }, { id: 'mint-c1-20', title: title(1, 20), ...lowerRatio, must: 1.13, aim: 1.1 }),
  latency(
    { lanes: 1, upstreamMs: 80 },
    { id: 'mint-c1-80', title: title(1, 80), ...lowerRatio, must: 1.04, aim: 1.03 },
  ),
  latency(
    { lanes: 16, upstreamMs: 20 },
    { id: 'mint-c16-20', title: `${title(16, 20)}, one tenant`, ...lowerRatio, must: 1.7, aim: 1.5 },
    CPU,
  ),
  latency(
    { lanes: 16, upstreamMs: 80 },
    { id: 'mint-c16-80', title: `${title(16, 80)}, one tenant`, ...lowerRatio, must: 1.1, aim: 1.08 },
  ),
  throughput,
]
