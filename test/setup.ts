// Every test starts clean: storage is shared by all files of the workerd project (isolate: false), and so is the emulator.
import { reset } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { beforeEach } from 'vitest'
import { EmulatorControl } from '../emulator/client.ts'

const emulator = new EmulatorControl(env.EMULATOR_URL)

beforeEach(async () => {
  await Promise.all([reset(), emulator.reset()])
})
