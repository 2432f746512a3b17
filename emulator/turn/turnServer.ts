// A real TURN server (coturn) beside the emulator, on loopback. coturn looks at an expiry only when a relay is allocated;
// Cloudflare ends the relay too, so sessions are cancelled here at expiry and at revocation, through coturn's command line.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { freePorts, listens } from './ports.ts'
import type { Sessions, TurnServer } from './relays.ts'

const HOST = '127.0.0.1'
const PROGRAM = 'turnserver'
const START_DEADLINE_MS = 5_000
const PROBE_PAUSE_MS = 25
const CLI_DEADLINE_MS = 2_000
const RELAY_PORTS = { from: 49_160, to: 49_360 }
const LONGEST_TIMER_MS = 2 ** 31 - 1

export interface RunningTurnServer {
  /** For the emulator: which logins coturn accepts, and where it listens. */
  readonly turn: TurnServer
  readonly sessions: Sessions
  /** Usernames that hold a relay now. */
  relayed(): Promise<string[]>
  close(): Promise<void>
}

export const turnServerIsInstalled = (): boolean =>
  spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' }).error === undefined

export async function startTurnServer(): Promise<RunningTurnServer> {
  const [port = 0, cliPort = 0] = await freePorts(2)
  const [sharedSecret, cliPassword] = [randomBytes(24).toString('hex'), randomBytes(24).toString('hex')]
  const folder = mkdtempSync(path.join(tmpdir(), 'turn-broker-coturn-'))
  const child = spawn(PROGRAM, argumentsOf({ port, cliPort, sharedSecret, cliPassword, folder }), { stdio: 'ignore' })
  const killed = () => child.kill('SIGKILL')
  process.once('exit', killed)
  await untilListening(child, cliPort)

  const cli = new CoturnCli(cliPort, cliPassword)
  const timers = new Set<NodeJS.Timeout>()
  const end = (username: string) => void cli.cancel(username).catch(() => undefined)
  return {
    turn: {
      sharedSecret,
      stunUrls: [`stun:${HOST}:${port}`],
      urls: [`turn:${HOST}:${port}?transport=udp`, `turn:${HOST}:${port}?transport=tcp`],
    },
    sessions: {
      end,
      endAt(username, atMs) {
        const timer = setTimeout(() => end(username), Math.min(Math.max(0, atMs - Date.now()), LONGEST_TIMER_MS))
        timer.unref()
        timers.add(timer)
      },
    },
    relayed: () => cli.users(),
    async close() {
      for (const timer of timers) clearTimeout(timer)
      process.off('exit', killed)
      const ended = new Promise((resolve) => child.once('exit', resolve))
      child.kill('SIGKILL')
      await ended
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

interface Settings {
  port: number
  cliPort: number
  sharedSecret: string
  cliPassword: string
  folder: string
}

function argumentsOf({ port, cliPort, sharedSecret, cliPassword, folder }: Settings): string[] {
  return [
    '-n',
    `--listening-ip=${HOST}`,
    `--listening-port=${port}`,
    `--relay-ip=${HOST}`,
    `--min-port=${RELAY_PORTS.from}`,
    `--max-port=${RELAY_PORTS.to}`,
    '--allow-loopback-peers',
    '--no-multicast-peers',
    '--no-tls',
    '--no-dtls',
    '--fingerprint',
    '--relay-threads=1',
    '--use-auth-secret',
    `--static-auth-secret=${sharedSecret}`,
    '--realm=turn-broker.test',
    `--userdb=${path.join(folder, 'turndb')}`,
    `--pidfile=${path.join(folder, 'pid')}`,
    `--cli-ip=${HOST}`,
    `--cli-port=${cliPort}`,
    `--cli-password=${cliPassword}`,
    '--log-file=/dev/null',
  ]
}

/** coturn's telnet-like command line: one short connection a command. */
class CoturnCli {
  readonly #port: number
  readonly #password: string

  constructor(port: number, password: string) {
    this.#port = port
    this.#password = password
  }

  /** Ends every session of a username. */
  async cancel(username: string): Promise<void> {
    for (const { id, user } of await this.#sessions(username)) if (user === username) await this.#run(`cs ${id}`)
  }

  async users(): Promise<string[]> {
    return (await this.#sessions('')).map(({ user }) => user)
  }

  /** Sessions of users whose name holds this text. */
  async #sessions(text: string): Promise<{ id: string; user: string }[]> {
    const listing = await this.#run(`psp ${text}`)
    return [...listing.matchAll(/id=(\d+), user <([^>]*)>/g)].map(([, id = '', user = '']) => ({ id, user }))
  }

  /** The answer to one command: password at its prompt, command at the next, answer until the one after. */
  #run(command: string): Promise<string> {
    return new Promise((resolve, reject) => {
      const lines = [this.#password, command]
      let text = ''
      const socket = createConnection(this.#port, HOST)
      socket.setTimeout(CLI_DEADLINE_MS, () => socket.destroy(new Error('coturn did not answer')))
      socket.once('error', reject)
      socket.on('data', (chunk) => {
        text += chunk.toString('utf8')
        if (!/(Enter password: |> )\s*$/.test(text)) return
        const line = lines.shift()
        if (line === undefined) {
          socket.destroy()
          resolve(text)
          return
        }
        text = ''
        socket.write(`${line}\r\n`)
      })
    })
  }
}

async function untilListening(child: ChildProcess, port: number): Promise<void> {
  const deadline = Date.now() + START_DEADLINE_MS
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error('coturn ended before it listened')
    if (await listens(port)) return
    await new Promise((resolve) => setTimeout(resolve, PROBE_PAUSE_MS))
  }
  throw new Error('coturn does not listen')
}
