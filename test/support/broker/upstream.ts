/** Upstream as the tests play and watch it: the emulator behind the Worker, and what is left there. */
import { env } from 'cloudflare:workers'
import {
  EmulatorControl,
  type LogEntry,
  type Operation,
  type ShownKey,
  type ShownState,
} from '../../../emulator/client.ts'

/** Each creation mints once, to prove its key: only `creationProofs` shows that. */
class Upstream extends EmulatorControl {
  override async log(operation?: Operation | 'unknown'): Promise<LogEntry[]> {
    return (await super.log(operation)).filter((entry) => !isProof(entry))
  }

  override async state(): Promise<ShownState> {
    const state = await super.state()
    return { ...state, credentials: state.credentials.filter((each) => !isMarker(each.customIdentifier)) }
  }

  /** The requests for the first mints of created keys. */
  async creationProofs(): Promise<LogEntry[]> {
    return (await super.log()).filter(isProof)
  }
}

const isMarker = (text: unknown): boolean => typeof text === 'string' && text.startsWith('tb.')
const isProof = ({ body }: LogEntry): boolean =>
  typeof body === 'object' && body !== null && 'customIdentifier' in body && isMarker(body.customIdentifier)

export const emulator = new Upstream(env.EMULATOR_URL)

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
