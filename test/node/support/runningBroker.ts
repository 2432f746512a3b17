// The whole broker on real sockets, for tests from outside: `wrangler dev` as a child process with secrets, state and ports
// of its own, and an emulator of its own in this process. No assertions here.
import { randomBytes } from 'node:crypto'
import { globSync, mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { EmulatorControl } from '../../../emulator/client.ts'
import { startEmulator } from '../../../emulator/server.ts'
import { freePort } from '../../../emulator/turn/ports.ts'
import type { RunningTurnServer } from '../../../emulator/turn/turnServer.ts'
import { Broker } from '../../../scripts/dev/broker.ts'
import type { Scope } from '../../../src/contract/scopes.ts'

const UP_DEADLINE_MS = 60_000

// biome-ignore lint/suspicious/noExplicitAny: the shape of an answer is what tests assert
type Answer = any

export interface RunningBroker {
  url: string
  /** What it was started with. */
  secrets: { CALLS_API_TOKEN: string; ADMIN_TOKEN: string; ROOT_KEYS: string }
  emulator: EmulatorControl
  /** A tenant as an operator sets one up, and an API token with these scopes. */
  newTenant(id: string, options: { scopes: Scope[]; policy?: object }): Promise<{ id: string; token: string }>
  /** A request as an operator. */
  admin(
    method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
    route: string,
    body?: object,
  ): Promise<{ status: number; json: Answer }>
  /** `id:key` of the first root key. */
  rootKey: string
  /** Everything that wrangler and workerd have printed. */
  output(): string
  /** The broker's own log lines of requests. */
  requests(): { method: string; route: string | null; status: number }[]
  /** As a deployment with other variables, on the same storage. It may be meant not to be ready. */
  restart(changed: Record<string, string>, until?: 'ready' | 'listening'): Promise<void>
  /** Another API token of a tenant. */
  newToken(id: string, scopes: Scope[]): Promise<{ token: string }>
  /** Its storage is gone, as if Cloudflare had lost it. */
  loseTenant(id: string): Promise<void>
  stop(): Promise<void>
}

/** `turnServer`: the emulator hands out logins that this one accepts. */
export async function startBroker({ turnServer }: { turnServer?: RunningTurnServer } = {}): Promise<RunningBroker> {
  const state = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-test-'))
  const secrets = {
    CALLS_API_TOKEN: randomBytes(30).toString('base64url'),
    ADMIN_TOKEN: randomBytes(32).toString('base64url'),
    ROOT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
  }
  const emulator = await startEmulator({
    apiToken: secrets.CALLS_API_TOKEN,
    ...(turnServer ? { turn: turnServer.turn } : {}),
  })
  const upstream = { CLOUDFLARE_API_URL: `${emulator.url}/client/v4`, CLOUDFLARE_RTC_URL: `${emulator.url}/v1` }
  const output: Buffer[] = []
  const errorOutput: Buffer[] = []
  const port = await freePort()
  let vars: Record<string, string> = { ...secrets, ...upstream }
  const started = () =>
    new Broker({
      port,
      persistTo: state,
      vars,
      onOutput: (chunk) => output.push(chunk),
      onErrorOutput: (chunk) => errorOutput.push(chunk),
    })
  let broker = started()
  const stop = async () => {
    await Promise.all([broker.stop(), emulator.close()])
    rmSync(state, { recursive: true, force: true })
  }
  const up = async (until: 'ready' | 'listening') => {
    try {
      await (until === 'ready' ? broker.untilReady() : untilListening(broker.url))
    } catch (error) {
      broker.showOutput()
      await stop()
      throw error
    }
  }
  await up('ready')

  const admin: RunningBroker['admin'] = async (method, route, body) => {
    const response = await fetch(`${broker.url}/v1/admin${route}`, {
      method,
      headers: { authorization: `Bearer ${secrets.ADMIN_TOKEN}`, 'content-type': 'application/json' },
      ...(body ? { body: JSON.stringify(body) } : {}),
    })
    const text = await response.text()
    return { status: response.status, json: text === '' ? undefined : JSON.parse(text) }
  }
  const create = async (route: string, body: object): Promise<Record<string, unknown>> => {
    const { status, json } = await admin('POST', route, body)
    if (status !== 201) throw new Error(`POST ${route}: ${status} ${JSON.stringify(json)}`)
    return json
  }
  const newToken: RunningBroker['newToken'] = async (id, scopes) => {
    const { token } = await create(`/tenants/${id}/api-tokens`, { name: 'test', scopes })
    return { token: String(token) }
  }
  return {
    url: broker.url,
    secrets,
    emulator: new EmulatorControl(emulator.url),
    admin,
    rootKey: secrets.ROOT_KEYS,
    output: () => Buffer.concat([...output, ...errorOutput]).toString('utf8'),
    requests: () =>
      Buffer.concat(output)
        .toString('utf8')
        .split('\n')
        .filter((line) => line.startsWith('{') && line.includes('"event":"request"'))
        .map((line) => JSON.parse(line)),
    async newTenant(id, { scopes, policy }) {
      await create('/tenants', { id, name: id, region: 'weur', ...(policy ? { policy } : {}) })
      return { id, ...(await newToken(id, scopes)) }
    },
    newToken,
    async loseTenant(id) {
      await broker.stop()
      forget(state, id)
      broker = started()
      await up('ready')
    },
    async restart(changed, until = 'listening') {
      vars = { ...vars, ...changed }
      await broker.stop()
      broker = started()
      await up(until)
    },
    stop,
  }
}

/** Deletes the file in which the local runtime keeps a tenant's object. */
function forget(state: string, tenant: string): void {
  for (const file of globSync(`${state}/v3/do/*Tenant/*.sqlite`)) {
    const storage = new DatabaseSync(file, { readOnly: true })
    const tables = storage.prepare("SELECT name FROM sqlite_master WHERE name = 'tenant'").all()
    const ids = tables.length > 0 ? storage.prepare('SELECT id FROM tenant').all() : []
    storage.close()
    if (ids[0]?.id !== tenant) continue
    for (const part of ['', '-wal', '-shm']) rmSync(file + part, { force: true })
  }
}

/** Up is not ready: what a test restarts may have been broken on purpose. */
async function untilListening(url: string): Promise<void> {
  const deadline = Date.now() + UP_DEADLINE_MS
  while (Date.now() < deadline) {
    const response = await fetch(`${url}/healthz`, { signal: AbortSignal.timeout(1_000) }).catch(() => undefined)
    await response?.body?.cancel()
    if (response?.status === 200) return
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
  throw new Error(`the broker was not up again within ${UP_DEADLINE_MS} ms`)
}
