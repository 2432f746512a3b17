// The look-up of a TURN key out of KV, against a Hono handler that reads one value from KV and answers it.
import { type Contender, interleaved } from '../load/drive.ts'
import { median, ratios } from '../load/statistics.ts'
import type { Experiment, Lab, Row } from './row.ts'
import { always } from './tenant.ts'

async function contenders(lab: Lab): Promise<Record<'broker' | 'bare', Contender>> {
  const [broker, peers, tenant] = [await lab.broker(), await lab.peers(), await lab.tenant()]
  const path = `/client/v4/accounts/${tenant.id}/calls/turn_keys/${tenant.keyUid}`
  const headers = { authorization: `Bearer ${await tenant.apiToken(['turn_keys:read'])}` }
  const look = () => fetch(broker.url + path, { headers })
  await (await look()).arrayBuffer() // the first one fills KV
  const value = await (await look()).text()
  const stored = await fetch(`${peers.bare}/kv`, { method: 'PUT', body: value })
  if (stored.status !== 204) throw new Error(`bare: ${stored.status}`)
  return {
    broker: {
      ...always({ name: 'broker', url: broker.url, pid: broker.pid, expects: 200 }, [{ method: 'GET', path, headers }]),
      prepare: async () => {
        // An entry is believed for a minute: the round begins with one that is fresh.
        await (await look()).arrayBuffer()
        const cached = await look()
        await cached.arrayBuffer()
        const status = cached.headers.get('cache-status') ?? ''
        if (!/hit/.test(status)) throw new Error(`look-up: not from KV, but "${status}"`)
      },
    },
    bare: always({ name: 'bare', url: peers.bare, pid: peers.runtime.pid(), expects: 200 }, [
      { method: 'GET', path: '/kv', headers },
    ]),
  }
}

function lookup(lanes: number, row: Row): Experiment {
  return {
    rows: [row],
    async run(lab) {
      const both = await contenders(lab)
      const { rounds, seconds } = lab.effort
      for (const name of ['broker', 'bare'] as const) await lab.drive(both[name], { lanes, seconds: 0.5 })
      const found = await interleaved(['broker', 'bare'] as const, rounds, (name) =>
        lab.drive(both[name], { lanes, seconds }),
      )
      const [ours, bare] = [
        found.broker.map(({ perSecond }) => perSecond),
        found.bare.map(({ perSecond }) => perSecond),
      ]
      const behind = `${Math.round(median(ours))}/s, bare ${Math.round(median(bare))}/s`
      return [{ row: row.id, rounds: ratios(ours, bare), behind }]
    },
  }
}

const title = (lanes: number) => `look-up from KV ÷ a bare handler with one KV get, requests a second; c=${lanes}`
const ratio = { unit: '×', better: 'higher' } as const

export const LOOKUPS: readonly Experiment[] = [
  lookup(1, { id: 'lookup-c1', title: title(1), ...ratio, must: 0.7, aim: 0.9 }),
  lookup(16, { id: 'lookup-c16', title: title(16), ...ratio, must: 0.7, aim: 0.75 }),
]
