// The whole broker on real sockets, for tests from outside: `wrangler dev` as a child process with secrets, state and ports
// of its own, and an emulator of its own in this process. No assertions here.
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { EmulatorControl } from '../../emulator/client.ts'
import { startEmulator } from '../../emulator/server.ts'
import type { RunningTurnServer } from '../../emulator/turnServer.ts'
import { Broker } from '../../scripts/dev/broker.ts'
import type { Scope } from '../../src/contract/scopes.ts'

export interface RunningBroker {
  url: string
  emulator: EmulatorControl
  /** A tenant as an operator sets one up, and an API token with these scopes. */
  newTenant(id: string, options: { scopes: Scope[]; policy?: object }): Promise<{ id: string; token: string }>
  stop(): Promise<void>
}

/** `turnServer`: the emulator hands out logins that this one accepts. */
export async function startBroker(turnServer?: RunningTurnServer): Promise<RunningBroker> {
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
  const broker = new Broker({ port: await freePort(), persistTo: state, vars: { ...secrets, ...upstream } })
  const stop = async () => {
    await Promise.all([broker.stop(), emulator.close()])
    rmSync(state, { recursive: true, force: true })
  }
  try {
    await broker.untilReady()
  } catch (error) {
    broker.showOutput()
    await stop()
    throw error
  }

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
    emulator: new EmulatorControl(emulator.url),
    async newTenant(id, { scopes, policy }) {
      await admin('/tenants', { id, name: id, region: 'weur', ...(policy ? { policy } : {}) })
      const { token } = await admin(`/tenants/${id}/api-tokens`, { name: 'test', scopes })
      return { id, token: String(token) }
    },
    stop,
  }
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
