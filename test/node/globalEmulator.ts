// Starts the one emulator that the Worker under test talks to and its tenants' identity providers, and generates the
// secrets of this run.
// Runs in Node before workerd starts; tests read both with `inject('broker')` or from the Worker's bindings.
import { randomBytes } from 'node:crypto'
import type { TestProject } from 'vitest/node'
import { startEmulator } from '../../emulator/server.ts'
import { startIdentityProviders } from './identityProviders.ts'

export interface BrokerUnderTest {
  emulatorUrl: string
  /** Hosts of the web that are played on this machine, and where. */
  played: Record<string, string>
  secrets: {
    CALLS_API_TOKEN: string
    ADMIN_TOKEN: string
    ROOT_KEYS: string
    CLOUDFLARE_ACCOUNT_ID: string
  }
}

declare module 'vitest' {
  interface ProvidedContext {
    broker: BrokerUnderTest
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const secrets = {
    CALLS_API_TOKEN: randomBytes(30).toString('base64url'),
    ADMIN_TOKEN: randomBytes(32).toString('base64url'),
    ROOT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    CLOUDFLARE_ACCOUNT_ID: randomBytes(16).toString('hex'),
  }
  const emulator = await startEmulator({ port: 0, host: '127.0.0.1', apiToken: secrets.CALLS_API_TOKEN })
  const providers = await startIdentityProviders()
  project.provide('broker', { emulatorUrl: emulator.url, played: providers.urls, secrets })
  return async () => {
    await Promise.all([emulator.close(), providers.close()])
  }
}
