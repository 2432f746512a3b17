// A forged client token is refused, against a Worker that answers every request with the same 401.
import { type Ask, interleaved } from '../load/drive.ts'
import { median, ratios } from '../load/statistics.ts'
import type { Experiment, Lab, Row } from './row.ts'
import { always, type BenchTenant } from './tenant.ts'

/** One character in the middle of the signature is another one. */
function forged(token: string): string {
  const at = Math.floor((token.lastIndexOf('.') + token.length) / 2)
  return `${token.slice(0, at)}${token[at] === 'A' ? 'B' : 'A'}${token.slice(at + 1)}`
}

/** Gives `bare` the refusal of the broker: its headers, without those that the server writes by itself, and its body. */
async function teachBare(lab: Lab, ask: Ask): Promise<void> {
  const [broker, peers] = [await lab.broker(), await lab.peers()]
  const { method, headers = {}, body = null } = ask
  const refused = await fetch(broker.url + ask.path, { method, headers, body })
  if (refused.status !== 401) throw new Error(`refusal: ${refused.status}`)
  const own = ['connection', 'content-length', 'date', 'keep-alive', 'transfer-encoding']
  const kept = Object.fromEntries([...refused.headers].filter(([name]) => !own.includes(name)))
  const taught = JSON.stringify({ headers: kept, body: await refused.text() })
  await (await fetch(peers.bare, { method: 'PATCH', body: taught })).arrayBuffer()
}

function refusal(row: Row, request: (tenant: BenchTenant, token: string) => Ask): Experiment {
  return {
    rows: [row],
    async run(lab) {
      const [broker, peers, tenant] = [await lab.broker(), await lab.peers(), await lab.tenant()]
      const ask = request(tenant, forged(await tenant.clientToken()))
      await teachBare(lab, ask)
      const both = {
        broker: always({ name: 'broker', url: broker.url, pid: broker.pid, expects: 401 }, [ask]),
        bare: always({ name: 'bare', url: peers.bare, pid: peers.runtime.pid(), expects: 401 }, [ask]),
      }
      const { rounds, seconds } = lab.effort
      for (const name of ['broker', 'bare'] as const) await lab.drive(both[name], { lanes: 1, seconds: 0.5 })
      const found = await interleaved(['broker', 'bare'] as const, rounds, (name) =>
        lab.drive(both[name], { lanes: 1, seconds }),
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

const title = (where: string) => `refused: forged client token in ${where} ÷ a bare 401 with the same headers; c=1`
const ratio = { unit: '×', better: 'higher' } as const

export const REFUSALS: readonly Experiment[] = [
  refusal({ id: 'refused-form', title: title('a form'), ...ratio, must: 0.45, aim: 0.5 }, (tenant, token) =>
    tenant.iceServers(token),
  ),
  refusal({ id: 'refused-header', title: title('a header'), ...ratio, must: 0.5, aim: 0.6 }, (tenant, token) =>
    tenant.iceServersByHeader(token),
  ),
]
