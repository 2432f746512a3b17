// Starts plain workerd, without wrangler's tools around it, with Workers of this repository: bundles, configuration, process.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildSync } from 'esbuild'
import { freePort } from '../../emulator/turn/ports.ts'

const root = path.join(import.meta.dirname, '../..')
const require = createRequire(import.meta.url)
const ofWrangler = createRequire(require.resolve('wrangler/package.json'))
const COMPATIBILITY_DATE = '2026-10-01'
const ROOM_BYTES = 4 * 2 ** 30
const STARTS_WITHIN_MS = 10_000

export interface WorkerPlan {
  readonly name: string
  /** Path in the repository. */
  readonly entry: string
  readonly texts?: Readonly<Record<string, string>>
  /** Durable Object classes by the name of their binding. */
  readonly objects?: Readonly<Record<string, string>>
  /** Bindings of KV namespaces; all of a process share their values. */
  readonly kv?: readonly string[]
  /** Limits of rate limiter bindings, requests a minute. */
  readonly limits?: Readonly<Record<string, number>>
}

export interface Runtime {
  /** By the name of the Worker. */
  readonly urls: Readonly<Record<string, string>>
  /** Of the running process. */
  pid(): number
  /** Where the objects keep their SQLite files. */
  readonly objectsFolder: string
  /** Ends the process; state on disk stays. */
  halt(): Promise<void>
  /** Starts it again, on the same ports. */
  start(): Promise<void>
  /** Ends it and deletes its files. */
  stop(): Promise<void>
}

export interface RuntimeOptions {
  /** Of the JavaScript engine, such as a smaller heap. */
  readonly v8Flags?: readonly string[]
  /** The only processor that it may use. */
  readonly core?: number | undefined
}

/** A commit waits for the disk: memory, where there is room for it, so that no disk is measured. */
export const storesInMemory = (): boolean => {
  if (!existsSync('/dev/shm')) return false
  const { bavail, bsize } = statfsSync('/dev/shm')
  return bavail * bsize >= ROOM_BYTES
}

export const workerdVersion = (): string => ofWrangler('workerd/package.json').version as string // a package has one

export async function startRuntime(plans: readonly WorkerPlan[], options: RuntimeOptions = {}): Promise<Runtime> {
  const folder = mkdtempSync(path.join(storesInMemory() ? '/dev/shm' : os.tmpdir(), 'turn-broker-plain-'))
  const objectsFolder = path.join(folder, 'objects')
  mkdirSync(objectsFolder)
  const ports = new Map<string, number>()
  for (const { name, entry } of plans) {
    bundle(entry, path.join(folder, `${name}.js`))
    ports.set(name, await freePort())
  }
  bundle('bench/workers/kv.ts', path.join(folder, 'kv.js'))
  bundle('bench/workers/rateLimiter.ts', path.join(folder, 'rateLimiter.js'))
  const configFile = path.join(folder, 'config.capnp')
  writeFileSync(configFile, configText(plans, { ports, objectsFolder, v8Flags: options.v8Flags ?? [] }))

  const binary = ofWrangler('workerd').default as string // its only export
  const pinned = options.core === undefined ? [] : ['taskset', '-c', String(options.core)]
  const [program = binary, ...before] = [...pinned, binary]
  let child: ChildProcess | undefined
  const runtime: Runtime = {
    urls: Object.fromEntries([...ports].map(([name, port]) => [name, `http://127.0.0.1:${port}`])),
    pid: () => child?.pid ?? 0,
    objectsFolder,
    async halt() {
      if (!child || child.exitCode !== null || child.signalCode !== null) return
      const ended = new Promise((resolve) => child?.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
    },
    async start() {
      child = spawn(program, [...before, 'serve', configFile], { stdio: ['ignore', 'ignore', 'pipe'] })
      if (child.stderr) createInterface(child.stderr).on('line', report)
      await Promise.all(Object.values(runtime.urls).map((url) => answered(url)))
    },
    async stop() {
      await runtime.halt()
      rmSync(folder, { recursive: true, force: true })
    },
  }
  await runtime.start().catch(async (error) => {
    await runtime.stop()
    throw error
  })
  return runtime
}

/** Workerd's own notes about alarms that a killed process left are none of a reader's concern. */
const report = (line: string): void => {
  if (!line.includes('NOSENTRY SQLite alarm')) console.error(line)
}

function bundle(entry: string, outfile: string): void {
  buildSync({
    entryPoints: [path.join(root, entry)],
    outfile,
    bundle: true,
    format: 'esm',
    target: 'es2024',
    conditions: ['workerd', 'worker', 'browser'],
    external: ['cloudflare:*'],
    minify: true,
    logLevel: 'error',
  })
}

/** The runtime listens: any answer will do. */
async function answered(url: string): Promise<void> {
  const until = Date.now() + STARTS_WITHIN_MS
  while (Date.now() < until) {
    const up = await fetch(`${url}/healthz`).then(
      (response) => response.arrayBuffer().then(() => true),
      () => false,
    )
    if (up) return
    await sleep(20)
  }
  throw new Error(`workerd did not answer at ${url}`)
}

interface Place {
  readonly ports: ReadonlyMap<string, number>
  readonly objectsFolder: string
  readonly v8Flags: readonly string[]
}

function configText(plans: readonly WorkerPlan[], { ports, objectsFolder, v8Flags }: Place): string {
  const quoted = (text: string) => JSON.stringify(text)
  const sockets = plans.map(
    ({ name }) => `(name = "${name}", address = "127.0.0.1:${ports.get(name)}", http = (), service = "${name}")`,
  )
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
${plans.map((plan) => `    (name = "${plan.name}", worker = ${workerText(plan)}),`).join('\n')}
    (name = "kv", worker = (${moduleText('kv')}, compatibilityDate = "${COMPATIBILITY_DATE}")),
    (name = "objects", disk = (path = ${quoted(objectsFolder)}, writable = true)),
    (name = "loopback", network = (allow = ["127.0.0.1/32"])),
  ],
  extensions = [(modules = [(name = "bench:rate-limiter", internal = true, esModule = embed "rateLimiter.js")])],
  v8Flags = ${JSON.stringify(v8Flags)},
  sockets = [${sockets.join(', ')}]
);
`
}

const moduleText = (name: string) => `modules = [(name = "worker", esModule = embed "${name}.js")]`

function workerText({ name, texts = {}, objects = {}, kv = [], limits = {} }: WorkerPlan): string {
  const bindings = [
    ...Object.entries(texts).map(([binding, text]) => `(name = "${binding}", text = ${JSON.stringify(text)})`),
    ...Object.entries(objects).map(([binding, type]) => `(name = "${binding}", durableObjectNamespace = "${type}")`),
    ...kv.map((binding) => `(name = "${binding}", kvNamespace = "kv")`),
    ...Object.entries(limits).map(
      ([binding, limit]) =>
        `(name = "${binding}", wrapped = (moduleName = "bench:rate-limiter", innerBindings = [(name = "limit", json = "${limit}")]))`,
    ),
  ]
  const classes = Object.values(objects).map(
    (type) => `(className = "${type}", uniqueKey = "bench-${type}", enableSql = true)`,
  )
  return `(
      ${moduleText(name)},
      compatibilityDate = "${COMPATIBILITY_DATE}",
      bindings = [${bindings.join(', ')}],
      durableObjectNamespaces = [${classes.join(', ')}],
      durableObjectStorage = (localDisk = "objects"),
      globalOutbound = "loopback",
    )`
}
