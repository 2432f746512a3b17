// What a TURN server answers to an allocation and to its refresh, over UDP on loopback: granted, or the number of the error.
import { TurnClient as Client, TurnRefusal } from '../../../scripts/probe/turnClient.ts'

const HOST = '127.0.0.1'
const KEPT_SECONDS = 600

/** `granted`, or the number of the error. */
export type Verdict = 'granted' | number

export class TurnClient {
  readonly #client: Promise<Client>

  constructor({ port, ...login }: { username: string; credential: string; port: number }) {
    this.#client = Client.open({ url: `turn:${HOST}:${port}`, host: HOST, port, transport: 'udp' }, login)
  }

  allocate = async (): Promise<Verdict> => verdictOf((await this.#client).allocate())
  refresh = async (): Promise<Verdict> => verdictOf((await this.#client).refresh(KEPT_SECONDS))

  close(): void {
    void this.#client.then((client) => client.close())
  }
}

async function verdictOf(request: Promise<unknown>): Promise<Verdict> {
  try {
    await request
    return 'granted'
  } catch (error) {
    if (error instanceof TurnRefusal && error.code !== undefined) return error.code
    throw error
  }
}
