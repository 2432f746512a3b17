// `npm run bench`: mints a second of one Tenant at 0 and 80 ms upstream, as a ratio to an object that only increments a
// counter, in the same run on the same machine; and the bytes a mint leaves. Prints numbers; judges none.
import { startPlainBroker } from './workerd.ts'

const SECONDS = 5
const WIDTH = 16
const UPSTREAM_MS = [0, 80]

const broker = await startPlainBroker()
const { emulator: control } = broker
try {
  await setUp()
  const rows = []
  const floor = await rate('count', WIDTH)
  for (const upstreamMs of UPSTREAM_MS) {
    await control.clearFaults()
    if (upstreamMs > 0)
      await control.fault({
        operation: 'generate-ice-servers',
        fault: { kind: 'delay', ms: upstreamMs },
        times: 'always',
      })
    const mints = await rate('mint', WIDTH)
    rows.push({
      'upstream ms': upstreamMs,
      'mints/s': Math.round(mints.perSecond),
      'counter/s': Math.round(floor.perSecond),
      ratio: (mints.perSecond / floor.perSecond).toFixed(3),
      'bytes/mint': Math.round(mints.bytes / mints.done),
    })
  }
  console.table(rows)
  console.log(`${WIDTH} at once; of these the Tenant lets 4 mints go upstream at a time, so 80 ms bound it to 50/s.`)
} finally {
  await broker.stop()
}

async function rate(what: 'mint' | 'count', width: number) {
  const response = await fetch(`${broker.url}/bench/${what}?seconds=${SECONDS}&width=${width}`)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  const { done, ms, bytes } = JSON.parse(text) as { done: number; ms: number; bytes: number } // bench/worker.ts writes it
  return { done, bytes, perSecond: (done * 1_000) / ms }
}

/** A tenant whose limits are out of the way, with one TURN key: through the doors, as anybody sets one up. */
async function setUp(): Promise<void> {
  await control.settings({ rateLimit: null })
  const policy = { maxLiveCredentials: 1_000_000, maxLiveCredentialsPerSubject: 1_000, maxMintsPerMinute: 100_000 }
  await broker.ask('/v1/admin/tenants', { id: 'bench', name: 'Benchmark', region: 'weur', policy })
  await broker.ask('/client/v4/accounts/bench/calls/turn_keys', { name: 'benchmark' })
}
