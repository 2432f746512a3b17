// The broker in plain workerd, without wrangler's tools around it: for figures about speed and memory.
import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildSync } from 'esbuild'
import { EmulatorControl } from '../emulator/client.ts'
import { startEmulator } from '../emulator/server.ts'
import { freePort } from '../emulator/turn/ports.ts'

const root = path.join(import.meta.dirname, '..')
const require = createRequire(import.meta.url)

export interface PlainBroker {
  readonly url: string
  readonly emulator: EmulatorControl
  /** The process of the runtime. */
  readonly pid: number
  /** A POST of the operator that must answer 201. */
  ask(route: string, body: object): Promise<Record<string, unknown>>
  stop(): Promise<void>
}

interface Place {
  readonly folder: string
  readonly port: number
  readonly emulatorUrl: string
  readonly adminToken: string
  readonly apiToken: string
  readonly v8Flags: string[]
}

/** `v8Flags`: of the runtime's JavaScript engine, such as a smaller heap. */
export async function startPlainBroker({ v8Flags = [] }: { v8Flags?: string[] } = {}): Promise<PlainBroker> {
  const apiToken = randomBytes(30).toString('base64url')
  const emulator = await startEmulator({ apiToken })
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-plain-'))
  const adminToken = randomBytes(32).toString('base64url')
  const port = await freePort()
  const url = `http://127.0.0.1:${port}`
  const workerd = await startWorkerd({ folder, port, emulatorUrl: emulator.url, adminToken, apiToken, v8Flags })
  return {
    url,
    emulator: new EmulatorControl(emulator.url),
    pid: workerd.pid ?? 0,
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
      workerd.kill('SIGKILL')
      await emulator.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

async function startWorkerd(place: Place) {
  const { folder, port } = place
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
  writeFileSync(path.join(folder, 'config.capnp'), config(place))
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

function config({ folder, port, emulatorUrl, adminToken, apiToken, v8Flags }: Place): string {
  const text = (name: string, value: string) => `(name = "${name}", text = "${value}")`
  const object = (name: string, className: string) => `(name = "${name}", durableObjectNamespace = "${className}")`
  const bindings = [
    text('ADMIN_TOKEN', adminToken),
    text('CALLS_API_TOKEN', apiToken),
    text('ROOT_KEYS', `k1:${randomBytes(32).toString('base64')}`),
    text('DEPLOYMENT', 'bench'),
    text('CLOUDFLARE_ACCOUNT_ID', '0'.repeat(32)),
    text('CLOUDFLARE_API_URL', `${emulatorUrl}/client/v4`),
    text('CLOUDFLARE_RTC_URL', `${emulatorUrl}/v1`),
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
  v8Flags = ${JSON.stringify(v8Flags)},
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
