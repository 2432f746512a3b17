// A real TURN server (coturn) beside the emulator, on loopback. It accepts the logins that the emulator admits and no other.
// coturn looks at a login only when an allocation is made; Cloudflare ends relays too. So what no valid login holds is cancelled
// here: at once when a login is dismissed, and every second, for logins that expired and allocations made at the same moment.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { CoturnCli } from './coturnCli.ts'
import { Logins } from './logins.ts'
import { freePorts, listens } from './ports.ts'
import type { TurnServer } from './relays.ts'

const HOST = '127.0.0.1'
const PROGRAM = 'turnserver'
const REALM = 'turn-broker.test'
const START_DEADLINE_MS = 5_000
const PROBE_PAUSE_MS = 25
const SWEEP_EVERY_MS = 1_000
const MOST_SESSIONS = 10_000
const RELAY_PORTS = { from: 49_160, to: 49_360 }

export interface RunningTurnServer {
  /** For the emulator. */
  readonly turn: TurnServer
  /** Usernames that hold a relay now. */
  relayed(): Promise<string[]>
  close(): Promise<void>
}

export const turnServerIsInstalled = (): boolean =>
  spawnSync(PROGRAM, ['--version'], { stdio: 'ignore' }).error === undefined

/** `port`: any free one if absent. Rejects when coturn does not listen within 5 s. */
export async function startTurnServer(options: { port?: number } = {}): Promise<RunningTurnServer> {
  const [freePort = 0, cliPort = 0] = await freePorts(2)
  const port = options.port ?? freePort
  const cliPassword = randomBytes(24).toString('hex')
  const folder = mkdtempSync(path.join(tmpdir(), 'turn-broker-coturn-'))
  const logins = new Logins(path.join(folder, 'turndb'), REALM)
  const child = spawn(PROGRAM, argumentsOf({ port, cliPort, cliPassword, folder }), { stdio: 'ignore' })
  const killed = () => child.kill('SIGKILL')
  process.once('exit', killed)
  await untilListening(child, cliPort)

  const cli = new CoturnCli({ host: HOST, port: cliPort }, cliPassword)
  const sweep = onePerTime(async () => {
    logins.removeExpired(Date.now())
    for (const session of await cli.sessions()) if (!logins.has(session.username)) await cli.cancel(session)
  })
  const sweeping = setInterval(sweep, SWEEP_EVERY_MS)
  sweeping.unref()
  return {
    turn: {
      stunUrls: [`stun:${HOST}:${port}`],
      urls: [`turn:${HOST}:${port}?transport=udp`, `turn:${HOST}:${port}?transport=tcp`],
      admit: (login, untilMs) => logins.add(login, untilMs),
      dismiss(username) {
        logins.remove(username)
        sweep()
      },
    },
    relayed: async () => (await cli.sessions()).map(({ username }) => username),
    async close() {
      clearInterval(sweeping)
      process.off('exit', killed)
      const ended = new Promise((resolve) => child.once('exit', resolve))
      if (child.exitCode === null && child.signalCode === null) {
        child.kill('SIGKILL')
        await ended
      }
      logins.close()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

/** Runs the task, and after it once more if it was wanted meanwhile. What fails is done by the next run. */
function onePerTime(task: () => Promise<void>): () => void {
  let wanted = false
  let running = false
  const run = async () => {
    running = true
    while (wanted) {
      wanted = false
      await task().catch(() => undefined)
    }
    running = false
  }
  return () => {
    wanted = true
    if (!running) void run()
  }
}

interface Settings {
  port: number
  cliPort: number
  cliPassword: string
  folder: string
}

function argumentsOf({ port, cliPort, cliPassword, folder }: Settings): string[] {
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
    '--lt-cred-mech',
    `--realm=${REALM}`,
    `--userdb=${path.join(folder, 'turndb')}`,
    `--pidfile=${path.join(folder, 'pid')}`,
    `--cli-ip=${HOST}`,
    `--cli-port=${cliPort}`,
    `--cli-password=${cliPassword}`,
    `--cli-max-output-sessions=${MOST_SESSIONS}`,
    '--log-file=/dev/null',
  ]
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
