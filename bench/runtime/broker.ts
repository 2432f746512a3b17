// The broker in plain workerd, with nothing of it replaced: for figures about speed and memory. KV's values and the counts of
// the rate limiters are in memory; Durable Objects, SQLite, RPC and the HTTP to Cloudflare's place are real.
import { randomBytes } from 'node:crypto'
import { EmulatorControl } from '../../emulator/client.ts'
import { startEmulator } from '../../emulator/server.ts'
import { type Runtime, type RuntimeOptions, startRuntime } from './workerd.ts'

/** Requests a minute that no run reaches. */
export const LIMITS = {
  RATE_IP: 100_000_000,
  RATE_SITE: 100_000_000,
  RATE_TENANT: 100_000_000,
  RATE_SUBJECT: 100_000_000,
  RATE_UNPROVEN: 100_000_000,
}

const NAME = 'broker'
const SIGNER = 'signer'

export interface PlainBroker {
  readonly url: string
  readonly emulator: EmulatorControl
  readonly runtime: Runtime
  /** The process of the runtime. */
  readonly pid: number
  /** Where bench/workers/signer.ts listens, if it was asked for. */
  readonly signerUrl: string | undefined
  /** A POST of the operator that must answer 201. */
  ask(route: string, body: object): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

export interface PlainBrokerOptions extends RuntimeOptions {
  /** Where credentials are minted and revoked; the emulator, unless given. */
  readonly rtcUrl?: string
  /** Also runs bench/workers/signer.ts. */
  readonly signer?: true
}

export async function startPlainBroker({ rtcUrl, signer, ...options }: PlainBrokerOptions = {}): Promise<PlainBroker> {
  const apiToken = randomBytes(30).toString('base64url')
  const adminToken = randomBytes(32).toString('base64url')
  const signing = { ROOT_KEYS: `k1:${randomBytes(32).toString('base64')}`, DEPLOYMENT: 'bench' }
  const emulator = await startEmulator({ apiToken })
  const plan = {
    name: NAME,
    entry: 'src/worker.ts',
    texts: {
      ADMIN_TOKEN: adminToken,
      CALLS_API_TOKEN: apiToken,
      ...signing,
      CLOUDFLARE_ACCOUNT_ID: '0'.repeat(32),
      CLOUDFLARE_API_URL: `${emulator.url}/client/v4`,
      CLOUDFLARE_RTC_URL: rtcUrl ?? `${emulator.url}/v1`,
    },
    objects: { TENANTS: 'Tenant', ACCOUNT: 'Account' },
    kv: ['CACHE'],
    limits: LIMITS,
  }
  const runtime = await startRuntime(
    signer ? [plan, { name: SIGNER, entry: 'bench/workers/signer.ts', texts: signing }] : [plan],
    options,
  ).catch(async (error) => {
    await emulator.close()
    throw error
  })
  const url = runtime.urls[NAME] ?? ''
  return {
    url,
    emulator: new EmulatorControl(emulator.url),
    runtime,
    signerUrl: runtime.urls[SIGNER],
    get pid() {
      return runtime.pid()
    },
    async ask(route, body) {
      const response = await fetch(url + route, {
        method: 'POST',
        headers: { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' },
        body: JSON.stringify(body),
      })
      const text = await response.text()
      if (response.status !== 201) throw new Error(`${route}: ${response.status} ${text}`)
      return JSON.parse(text)
    },
    async stop() {
      await runtime.stop()
      await emulator.close()
    },
  }
}
