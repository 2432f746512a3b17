// `npm run bench`: mints a second of one Tenant at 0 and 80 ms upstream, as a ratio to an object that only increments a
// counter, in the same run on the same machine; and the bytes a mint leaves. Prints numbers; judges none.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildSync } from 'esbuild'
import { EmulatorControl } from '../emulator/client.ts'
import { startEmulator } from '../emulator/server.ts'

const SECONDS = 5
const WIDTH = 16
const UPSTREAM_MS = [0, 80]
const ADMIN_TOKEN = randomBytes(32).toString('base64url')
const API_TOKEN = randomBytes(30).toString('base64url')

const root = path.join(import.meta.dirname, '..')
const require = createRequire(import.meta.url)
const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-bench-'))
const emulator = await startEmulator({ apiToken: API_TOKEN })
const control = new EmulatorControl(emulator.url)
const port = await freePort()
const workerd = await startWorkerd()
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
  workerd.kill('SIGKILL')
  await emulator.close()
  rmSync(folder, { recursive: true, force: true })
}

async function rate(what: 'mint' | 'count', width: number) {
  const response = await fetch(`http://127.0.0.1:${port}/bench/${what}?seconds=${SECONDS}&width=${width}`)
  const text = await response.text()
  if (!response.ok) throw new Error(text)
  const { done, ms, bytes } = JSON.parse(text) as { done: number; ms: number; bytes: number } // bench/worker.ts writes it
  return { done, bytes, perSecond: (done * 1_000) / ms }
}

/** A tenant whose limits are out of the way, with one TURN key: through the doors, as anybody sets one up. */
async function setUp(): Promise<void> {
  await control.settings({ rateLimit: null })
  const policy = { maxLiveCredentials: 1_000_000, maxLiveCredentialsPerSubject: 1_000, maxMintsPerMinute: 100_000 }
  await ask('/v1/admin/tenants', { id: 'bench', name: 'Benchmark', region: 'weur', policy })
  await ask('/client/v4/accounts/bench/calls/turn_keys', { name: 'benchmark' })
}

async function ask(route: string, body: object): Promise<void> {
  const response = await fetch(`http://127.0.0.1:${port}${route}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  if (response.status !== 201) throw new Error(`${route}: ${response.status} ${await response.text()}`)
}

async function startWorkerd() {
  buildSync({
    entryPoints: [path.join(root, 'bench/worker.ts')],
    outfile: path.join(folder, 'worker.js'),
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    minify: true,
  })
  mkdirSync(path.join(folder, 'objects'))
  writeFileSync(path.join(folder, 'config.capnp'), config())
  const binary = createRequire(require.resolve('wrangler/package.json'))('workerd').default as string
  const child = spawn(binary, ['serve', path.join(folder, 'config.capnp')], { stdio: ['ignore', 'ignore', 'inherit'] })
  for (let n = 0; n < 100; n++) {
    await sleep(50)
    const up = await fetch(`http://127.0.0.1:${port}/healthz`).then(
      (response) => response.ok,
      () => false,
    )
    if (up) return child
  }
  child.kill('SIGKILL')
  throw new Error('workerd did not answer')
}

function config(): string {
  const text = (name: string, value: string) => `(name = "${name}", text = "${value}")`
  const object = (name: string, className: string) => `(name = "${name}", durableObjectNamespace = "${className}")`
  const bindings = [
    text('ADMIN_TOKEN', ADMIN_TOKEN),
    text('CALLS_API_TOKEN', API_TOKEN),
    text('ROOT_KEYS', `k1:${randomBytes(32).toString('base64')}`),
    text('DEPLOYMENT', 'bench'),
    text('CLOUDFLARE_ACCOUNT_ID', '0'.repeat(32)),
    text('CLOUDFLARE_API_URL', `${emulator.url}/client/v4`),
    text('CLOUDFLARE_RTC_URL', `${emulator.url}/v1`),
    object('TENANTS', 'Tenant'),
    object('ACCOUNT', 'Account'),
    object('COUNTER', 'Counter'),
  ]
  const classes = ['Tenant', 'Account', 'Counter'].map(
    (name) => `(className = "${name}", uniqueKey = "bench-${name}", enableSql = true)`,
  )
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .main),
    (name = "objects", disk = (path = "${folder}/objects", writable = true)),
    (name = "loopback", network = (allow = ["127.0.0.1/32"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")]
);
const main :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "worker.js")],
  compatibilityDate = "2026-10-01",
  bindings = [${bindings.join(', ')}],
  durableObjectNamespaces = [${classes.join(', ')}],
  durableObjectStorage = (localDisk = "objects"),
  globalOutbound = "loopback",
);
`
}

async function freePort(): Promise<number> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const address = probe.address()
  await new Promise((resolve) => probe.close(resolve))
  if (address === null || typeof address === 'string') throw new Error('no free port')
  return address.port
}
