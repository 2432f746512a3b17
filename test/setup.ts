// Every test starts clean: storage and emulator are shared by the files that one workerd runs, one after the other.
import { listDurableObjectIds, reset, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach, onTestFinished } from 'vitest'
import { EmulatorControl } from '../emulator/client.ts'
// Before the list of globals: it wraps `fetch` for good.
import { CONNECTIONS, forgetConnections, mostConnections } from './support/broker/connections.ts'
import { replacedGlobals, restoreGlobals } from './support/broker/globals.ts'

const emulator = new EmulatorControl(env.EMULATOR_URL)

beforeEach(async () => {
  // Registered first, so it runs after every other clean-up of the test.
  onTestFinished(() => {
    const replaced = replacedGlobals()
    restoreGlobals()
    const { object, most } = mostConnections()
    forgetConnections()
    if (replaced.length > 0) throw new Error(`The test leaves a replaced global behind: ${replaced.join(', ')}`)
    if (most > CONNECTIONS) throw new Error(`An object (${object}) had ${most} connections at once`)
  })
  await wakeObjects()
  await Promise.all([reset(), emulator.reset()])
})

/** What does not run escapes the reset: an object without a call for ten seconds has been put to sleep. */
async function wakeObjects(): Promise<void> {
  for (const namespace of [env.TENANTS, env.ACCOUNT] as DurableObjectNamespace[]) {
    const ids = await listDurableObjectIds(namespace)
    await Promise.all(ids.map((id) => runInDurableObject(namespace.get(id), () => undefined)))
  }
}
