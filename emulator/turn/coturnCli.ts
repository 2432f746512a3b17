// coturn's telnet-like command line: lists sessions and cancels them. One short connection a command, one command at a time.
import { createConnection } from 'node:net'

const DEADLINE_MS = 2_000

export interface CoturnSession {
  id: string
  username: string
}

export class CoturnCli {
  readonly #at: { host: string; port: number }
  readonly #password: string
  #last: Promise<unknown> = Promise.resolve()

  constructor(at: { host: string; port: number }, password: string) {
    this.#at = at
    this.#password = password
  }

  /** Every session whose login was accepted. */
  async sessions(): Promise<CoturnSession[]> {
    const listing = await this.#command('psp')
    const found = [...listing.matchAll(/id=(\d+), user <([^>]+)>/g)]
    return found.map(([, id = '', username = '']) => ({ id, username }))
  }

  async cancel({ id }: CoturnSession): Promise<void> {
    await this.#command(`cs ${id}`)
  }

  #command(command: string): Promise<string> {
    const next = this.#last.then(() => this.#run(command))
    this.#last = next.catch(() => undefined) // the caller has it
    return next
  }

  /** The answer to one command: password at its prompt, command at the next, answer until the one after. */
  #run(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const lines = [this.#password, command]
      let text = ''
      const socket = createConnection(this.#at)
      socket.setTimeout(DEADLINE_MS, () => socket.destroy(new Error('coturn did not answer')))
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('coturn hung up')))
      socket.on('data', (chunk) => {
        text += chunk.toString('utf8')
        if (!/(Enter password: |> )\s*$/.test(text)) return
        const line = lines.shift()
        if (line === undefined) {
          resolve(text)
          socket.destroy()
          return
        }
        text = ''
        socket.write(`${line}\r\n`)
      })
    })
  }
}
