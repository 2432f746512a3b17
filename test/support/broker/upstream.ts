/** Upstream as the tests play and watch it: the emulator behind the Worker, and what is left there. */
import { env } from 'cloudflare:workers'
import { EmulatorControl, type Operation, type ShownKey } from '../../../emulator/client.ts'

export const emulator = new EmulatorControl(env.EMULATOR_URL)

/** Keys that exist upstream now. */
export const liveKeys = async (): Promise<ShownKey[]> =>
  (await emulator.state()).keys.filter((key) => key.deleted === null)

/** A key of the broker's account that the broker did not make, as an operator imports it. */
export async function plantedKey(name?: string): Promise<{ uid: string; key: string }> {
  const named = name === undefined ? {} : { name }
  const { uid, key } = await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, ...named })
  return { uid, key }
}

/** How many requests of an operation arrived upstream since the test began. */
export const countAsked = async (operation: Operation | 'unknown'): Promise<number> =>
  (await emulator.log(operation)).length
