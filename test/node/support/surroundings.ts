// What surrounds each workerd that vitest starts: an emulator, identity providers and secrets of its own, because tests that
// run side by side must not meet each other's faults.
import { randomBytes } from 'node:crypto'
import { startEmulator } from '../../../emulator/server.ts'
import { startIdentityProviders } from './identityProviders.ts'

const running: { close(): Promise<void> }[] = []

/** The bindings of one Worker under test, and the hosts of the web that are played on this machine for it. */
export async function surroundings() {
  const CALLS_API_TOKEN = randomBytes(30).toString('base64url')
  const [emulator, providers] = await Promise.all([
    startEmulator({ port: 0, host: '127.0.0.1', apiToken: CALLS_API_TOKEN }),
    startIdentityProviders(),
  ])
  running.push(emulator, providers)
  return {
    bindings: {
      CALLS_API_TOKEN,
      ADMIN_TOKEN: randomBytes(32).toString('base64url'),
      ROOT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
      CLOUDFLARE_ACCOUNT_ID: randomBytes(16).toString('hex'),
      CLOUDFLARE_API_URL: `${emulator.url}/client/v4`,
      CLOUDFLARE_RTC_URL: `${emulator.url}/v1`,
      EMULATOR_URL: emulator.url,
    },
    played: providers.urls,
  }
}

export async function closeSurroundings(): Promise<void> {
  await Promise.all(running.splice(0).map((server) => server.close()))
}
