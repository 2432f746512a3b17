// A subject asks again: the broker answers from its ledger, naive and partytracks mint again.
import { interleaved } from '../load/drive.ts'
import { median, ratios } from '../load/statistics.ts'
import type { Experiment, Row } from './row.ts'
import { always } from './tenant.ts'

/** How many subjects ask again in turn. */
const SUBJECTS = 64

function repeat(setting: { lanes: number; upstreamMs: number }, row: Row): Experiment {
  return {
    rows: [row],
    async run(lab) {
      const { lanes, upstreamMs } = setting
      const { rounds, seconds } = lab.effort
      const [broker, peers, tenant] = [await lab.broker(), await lab.peers(), await lab.tenant()]
      ;(await lab.upstream()).delayMs = upstreamMs
      const asks = (await tenant.clientTokens(SUBJECTS)).map((token) => tenant.iceServers(token))
      const contenders = {
        broker: always({ name: 'broker', url: broker.url, pid: broker.pid, expects: 201 }, asks),
        naive: always({ name: 'naive', url: peers.naive, pid: peers.runtime.pid(), expects: 201 }, [
          { method: 'POST', path: '/' },
        ]),
      }
      // Each subject's first mint, none of which is measured.
      let minted = 0
      const first = { ...contenders.broker, next: () => asks[minted++] }
      await lab.drive(first, { lanes: 4, seconds: 60 })
      await lab.drive(contenders.broker, { lanes, seconds: 0.3 })
      const found = await interleaved(['broker', 'naive'] as const, rounds, (name) =>
        lab.drive(contenders[name], { lanes, seconds }),
      )
      const [ours, naive] = [found.broker.map(({ p50Ms }) => p50Ms), found.naive.map(({ p50Ms }) => p50Ms)]
      const behind = `${median(ours).toPrecision(3)} ms, naive ${median(naive).toPrecision(3)} ms`
      return [{ row: row.id, rounds: row.better === 'higher' ? ratios(naive, ours) : ratios(ours, naive), behind }]
    },
  }
}

const faster = { unit: '×', better: 'higher' } as const

export const REPEATS: readonly Experiment[] = [
  repeat(
    { lanes: 1, upstreamMs: 80 },
    { id: 'repeat-c1-80', title: 'repeat, naive ÷ broker, p50; upstream 80 ms, c=1', ...faster, must: 70, aim: 80 },
  ),
  repeat(
    { lanes: 16, upstreamMs: 80 },
    { id: 'repeat-c16-80', title: 'repeat, naive ÷ broker, p50; upstream 80 ms, c=16', ...faster, must: 6.5, aim: 8 },
  ),
  repeat(
    { lanes: 1, upstreamMs: 0 },
    {
      id: 'repeat-c1-0',
      title: 'repeat, broker ÷ naive, p50; upstream 0 ms, c=1',
      unit: '×',
      better: 'lower',
      must: 1.65,
      aim: 1.4,
    },
  ),
]
