// An emulator and secrets for each workerd that vitest starts: tests that run side by side must not meet each other's faults.
import { randomBytes } from 'node:crypto'
import { type RunningEmulator, startEmulator } from '../../emulator/server.ts'

const emulators: RunningEmulator[] = []

/** The bindings of one Worker under test, where its emulator has just been started. */
export async function freshBindings() {
  const CALLS_API_TOKEN = randomBytes(30).toString('base64url')
  const emulator = await startEmulator({ port: 0, host: '127.0.0.1', apiToken: CALLS_API_TOKEN })
  emulators.push(emulator)
  return {
    CALLS_API_TOKEN,
    ADMIN_TOKEN: randomBytes(32).toString('base64url'),
    ROOT_KEYS: `k1:${randomBytes(32).toString('base64')}`,
    CLOUDFLARE_ACCOUNT_ID: randomBytes(16).toString('hex'),
    CLOUDFLARE_API_URL: `${emulator.url}/client/v4`,
    CLOUDFLARE_RTC_URL: `${emulator.url}/v1`,
    EMULATOR_URL: emulator.url,
  }
}

export async function closeEmulators(): Promise<void> {
  await Promise.all(emulators.splice(0).map((emulator) => emulator.close()))
}
