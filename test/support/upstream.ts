/** Upstream as the tests play and watch it: the emulator behind the Worker, and what is left there. */
import { env } from 'cloudflare:workers'
import { EmulatorControl, type Operation, type ShownKey } from '../../emulator/client.ts'

export const emulator = new EmulatorControl(env.EMULATOR_URL)

/** Keys that exist upstream now. */
export const liveKeys = async (): Promise<ShownKey[]> =>
  (await emulator.state()).keys.filter((key) => key.deleted === null)

/** How many requests of an operation arrived upstream since the test began. */
export const countAsked = async (operation: Operation | 'unknown'): Promise<number> =>
  (await emulator.log(operation)).length
