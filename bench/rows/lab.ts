// Starts what an experiment asks for when it asks for it, and stops all of it at the end.
import { drive } from '../load/drive.ts'
import { type LightUpstream, startUpstream } from '../load/upstream.ts'
import { type PlainBroker, startPlainBroker } from '../runtime/broker.ts'
import { type Peers, startPeers } from '../runtime/peers.ts'
import type { Effort, Lab } from './row.ts'
import { BenchTenant } from './tenant.ts'

export function openLab(options: {
  readonly effort: Effort
  readonly core: number | undefined
  readonly say: (line: string) => void
}): { lab: Lab; close(): Promise<void> } {
  const { core } = options
  const upstream = once<LightUpstream>(startUpstream)
  const broker = once<PlainBroker>(async () =>
    startPlainBroker({ rtcUrl: (await upstream.get()).url, core, signer: true }),
  )
  const peers = once<Peers>(async () => startPeers((await upstream.get()).url, { core }))
  const tenant = once<BenchTenant>(async () => BenchTenant.create(await broker.get(), 'bench'))
  return {
    lab: {
      ...options,
      async drive(contender, load) {
        const sample = await drive(contender, load)
        if (sample.failed > 0)
          options.say(`${sample.failed} of ${sample.failed + sample.done} failed. ${sample.failure}`)
        return sample
      },
      upstream: upstream.get,
      broker: broker.get,
      peers: peers.get,
      tenant: tenant.get,
    },
    async close() {
      await (await broker.begun())?.stop()
      await (await peers.begun())?.runtime.stop()
      await (await upstream.begun())?.close()
    },
  }
}

function once<T>(start: () => Promise<T>): { get(): Promise<T>; begun(): Promise<T | undefined> } {
  let work: Promise<T> | undefined
  return {
    get() {
      work ??= start()
      return work
    },
    begun: async () => work?.catch(() => undefined),
  }
}
