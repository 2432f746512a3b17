// `npm run dev` as a person starts it: its own ports and state, a process group that gets Ctrl-C as a terminal sends it.
// Also sees what it leaves behind. No assertions here.
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { freePorts } from '../../../emulator/turn/ports.ts'
import { root } from '../docs/repository.ts'
import { processesOf } from './processes.ts'

const READY = 'turn-broker is ready'

/** Where one developer's broker listens and keeps its state; several servers may follow each other there. */
export interface DevPlace {
  port: number
  emulatorPort: number
  demoPort: number
  turnPort: number
  state: string
}

export async function newPlace(): Promise<DevPlace> {
  const [port = 0, emulatorPort = 0, demoPort = 0, turnPort = 0] = await freePorts(4)
  return { port, emulatorPort, demoPort, turnPort, state: mkdtempSync(path.join(os.tmpdir(), 'turn-broker-dev-')) }
}

export const removePlace = ({ state }: DevPlace): void => rmSync(state, { recursive: true, force: true })

/** The environment of a fresh terminal: nothing that vitest or its configuration have set. */
export function terminal(extra: Record<string, string> = {}): NodeJS.ProcessEnv {
  const ours = /^(?:VITEST|NODE_ENV$|NODE_OPTIONS$|CALLS_API_TOKEN$|ROOT_KEYS$|ADMIN_TOKEN$|TURN_BROKER_)/
  return { ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !ours.test(name))), ...extra }
}

export class DevServer {
  /** What it printed. */
  output = ''
  readonly #child: ChildProcess
  readonly #ended: Promise<number | null>

  private constructor({ port, emulatorPort, demoPort, turnPort, state }: DevPlace) {
    const listening = [
      '--port',
      port,
      '--emulator-port',
      emulatorPort,
      '--demo-port',
      demoPort,
      '--turn-port',
      turnPort,
    ]
    const ports = listening.map(String)
    this.#child = spawn('npm', ['run', 'dev', '--', ...ports, '--state', state], {
      cwd: root,
      env: terminal(),
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    this.#ended = new Promise((resolve, reject) => {
      this.#child.once('exit', resolve)
      this.#child.once('error', reject)
    })
  }

  /** Resolves when it says that it is ready; rejects with what it printed if it ends before. */
  static async start(place: DevPlace): Promise<DevServer> {
    const server = new DevServer(place)
    const ready = new Promise<void>((resolve) => {
      const read = (chunk: Buffer) => {
        server.output += chunk.toString()
        if (server.output.includes(READY)) resolve()
      }
      server.#child.stdout?.on('data', read)
      server.#child.stderr?.on('data', read)
    })
    const ended = server.#ended.then((code) => {
      throw new Error(`npm run dev ended with ${code}:\n${server.output}`)
    })
    await Promise.race([ready, ended])
    ended.catch(() => undefined) // from here on its end is what a test waits for
    return server
  }

  /** Ctrl-C: a terminal sends it to every process of the foreground group. Resolves when npm has ended. */
  async interrupt(): Promise<void> {
    this.#signal('SIGINT')
    await this.#ended
  }

  /** For afterAll: ends what a failed test left. */
  async kill(): Promise<void> {
    const left = this.processes()
    this.#signal('SIGKILL')
    for (const pid of left) signalOne(pid)
    await this.#ended
  }

  /** Every process of its group, and those they started, in whatever group. */
  processes(): number[] {
    return processesOf(this.#child.pid)
  }

  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child
    if (pid === undefined) return
    try {
      process.kill(-pid, signal)
    } catch {
      // the group is gone
    }
  }
}

function signalOne(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it is gone
  }
}
