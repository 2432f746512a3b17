// The whole broker on real sockets, for tests from outside: `wrangler dev` as a child process with secrets, state and ports
// of its own, and an emulator of its own in this process. No assertions here.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { EmulatorControl } from '../../emulator/client.ts'
import { startEmulator } from '../../emulator/server.ts'
import type { RunningTurnServer } from '../../emulator/turnServer.ts'
import { Broker } from '../../scripts/dev/broker.ts'
import type { Scope } from '../../src/contract/scopes.ts'

export interface RunningBroker {
  url: string
  /** What it was started with. */
  secrets: { CALLS_API_TOKEN: string; ADMIN_TOKEN: string; ROOT_KEYS: string }
  emulator: EmulatorControl
  /** A tenant as an operator sets one up, and an API token with these scopes. */
  newTenant(id: string, options: { scopes: Scope[]; policy?: object }): Promise<{ id: string; token: string }>
  /** The broker's own log lines of requests. */
  requests(): { method: string; route: string | null; status: number }[]
  /** As a deployment with other variables, on the same storage. It may be meant not to be ready. */
  restart(changed: Record<string, string>, until?: 'ready' | 'listening'): Promise<void>
  stop(): Promise<void>
}

const START_DEADLINE_MS = 60_000

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
    ...(turnServer ? { turn: turnServer.turn, sessions: turnServer.sessions } : {}),
  })
  const upstream = { CLOUDFLARE_API_URL: `${emulator.url}/client/v4`, CLOUDFLARE_RTC_URL: `${emulator.url}/v1` }
  const output: Buffer[] = []
  const port = await freePort()
  let vars: Record<string, string> = { ...secrets, ...upstream }
  const started = () => new Broker({ port, persistTo: state, vars, onOutput: (chunk) => output.push(chunk) })
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

  const admin = async (route: string, body: object): Promise<Record<string, unknown>> => {
    const response = await fetch(`${broker.url}/v1/admin${route}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${secrets.ADMIN_TOKEN}`, 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    const text = await response.text()
    if (response.status !== 201) throw new Error(`POST ${route}: ${response.status} ${text}`)
    return JSON.parse(text)
  }
  return {
    url: broker.url,
    secrets,
    emulator: new EmulatorControl(emulator.url),
    requests: () =>
      Buffer.concat(output)
        .toString('utf8')
        .split('\n')
        .filter((line) => line.startsWith('{') && line.includes('"event":"request"'))
        .map((line) => JSON.parse(line)),
    async newTenant(id, { scopes, policy }) {
      await admin('/tenants', { id, name: id, region: 'weur', ...(policy ? { policy } : {}) })
      const { token } = await admin(`/tenants/${id}/api-tokens`, { name: 'test', scopes })
      return { id, token: String(token) }
    },
    async restart(changed, until = 'ready') {
      vars = { ...vars, ...changed }
      await broker.stop()
      broker = started()
      await up(until)
    },
    stop,
  }
}

async function untilListening(url: string): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS
  while (Date.now() < deadline) {
    const up = await fetch(`${url}/healthz`).then(
      ({ ok }) => ok,
      () => false,
    )
    if (up) return
    await sleep(100)
  }
  throw new Error('the broker did not start')
}

function freePort(): Promise<number> {
  const probe = createServer()
  return new Promise((resolve, reject) => {
    probe.once('error', reject)
    probe.listen(0, '127.0.0.1', () => {
      const { port } = probe.address() as AddressInfo // it listens on TCP
      probe.close(() => resolve(port))
    })
  })
}
