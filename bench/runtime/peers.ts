// What the broker is compared with, in a second process of the same workerd.
import { type Runtime, type RuntimeOptions, startRuntime } from './workerd.ts'

export interface Peers {
  readonly runtime: Runtime
  readonly naive: string
  readonly partytracks: string
  readonly bare: string
}

export async function startPeers(rtcUrl: string, options: RuntimeOptions): Promise<Peers> {
  const texts = { RTC_URL: rtcUrl, KEY_UID: '0'.repeat(32), KEY_SECRET: 's'.repeat(64) }
  const runtime = await startRuntime(
    [
      { name: 'naive', entry: 'bench/workers/naive.ts', texts },
      { name: 'partytracks', entry: 'bench/workers/partytracks.ts', texts },
      { name: 'bare', entry: 'bench/workers/bare.ts', kv: ['CACHE'] },
    ],
    options,
  )
  const { naive = '', partytracks = '', bare = '' } = runtime.urls
  return { runtime, naive, partytracks, bare }
}
