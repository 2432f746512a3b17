// Whether a login relays: two allocations of it send each other a text through the server.
import { randomBytes } from 'node:crypto'
import type { TurnAddress } from './transports.ts'
import { type Login, TurnClient, TurnRefusal } from './turnClient.ts'

const RELAY_MS = 5_000
/** An indication may be lost: it is sent again. */
const SEND_AGAIN_MS = 250

export interface Outcome {
  readonly url: string
  readonly transport: string
  /** `relayed`: a text came through both ways. `refused`: by the server, with its code. `failed`: no connection, no answer, no text. */
  readonly outcome: 'relayed' | 'refused' | 'failed'
  /** The code of STUN with its reason, or what failed. */
  readonly detail?: string
  readonly ms: number
}

/** Never throws. */
export async function tryRelay(address: TurnAddress, login: Login, ca?: string): Promise<Outcome> {
  const { url, transport } = address
  const begun = performance.now()
  const clients: TurnClient[] = []
  const ended = (outcome: Omit<Outcome, 'url' | 'transport' | 'ms'>): Outcome => ({
    url,
    transport,
    ...outcome,
    ms: Math.round(performance.now() - begun),
  })
  try {
    for (let n = 0; n < 2; n++) clients.push(await TurnClient.open(address, login, ca))
    const [near, far] = clients as [TurnClient, TurnClient] // two were opened
    const [nearAddress, farAddress] = [await near.allocate(), await far.allocate()]
    await near.permit(farAddress)
    await far.permit(nearAddress)
    await echo(near, far, farAddress)
    return ended({ outcome: 'relayed' })
  } catch (error) {
    const isRefused = error instanceof TurnRefusal && error.code !== undefined
    const detail = error instanceof Error ? error.message : String(error)
    return ended({ outcome: isRefused ? 'refused' : 'failed', detail })
  } finally {
    for (const client of clients) await client.close()
  }
}

/** One text there and back. Rejects after 5 s. */
function echo(near: TurnClient, far: TurnClient, farAddress: readonly [string, number]): Promise<void> {
  const text = randomBytes(16)
  return new Promise((resolve, reject) => {
    const sending = setInterval(() => near.send(farAddress, text), SEND_AGAIN_MS)
    const late = setTimeout(() => {
      clearInterval(sending)
      reject(new Error(`nothing came through the relay within ${RELAY_MS} ms`))
    }, RELAY_MS)
    far.onData((from, data) => far.send(from, data))
    near.onData((_, data) => {
      if (!data.equals(text)) return
      clearInterval(sending)
      clearTimeout(late)
      resolve()
    })
    near.send(farAddress, text)
  })
}
