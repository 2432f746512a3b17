// Every test starts clean: storage and emulator are shared by the files that one workerd runs, one after the other.
import { listDurableObjectIds, reset, runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach } from 'vitest'
import { EmulatorControl } from '../emulator/client.ts'

const emulator = new EmulatorControl(env.EMULATOR_URL)

beforeEach(async () => {
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
