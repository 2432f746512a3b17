// The broker as a child process: `wrangler dev` in a process group of its own, so that stopping it stops workerd too.
// What it prints is held back until `showOutput`, and shown if it fails before. Decides nothing about how a line looks.
import { type ChildProcess, spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { projectRoot, quietEnvironment, wranglerEntry } from '../quiet-wrangler.ts'
import { LOOPBACK, Refusal } from './options.ts'

const READY_DEADLINE_MS = 60_000
const PROBE_DEADLINE_MS = 2_000
const PROBE_PAUSE_MS = 150
const STOP_DEADLINE_MS = 3_000

export interface BrokerOptions {
  port: number
  persistTo: string
  vars: Record<string, string>
  /** How a line is shown that is not held back; null: not at all. As it is if absent. */
  shown?: (line: string) => string | null
  /** Another configuration than wrangler.toml. */
  config?: string
  /** All that it prints to its standard output, beside being shown or held back. */
  onOutput?: (chunk: Buffer) => void
  /** Likewise to its standard error. */
  onErrorOutput?: (chunk: Buffer) => void
}

export class Broker {
  readonly url: string
  /** The exit code, once the process has ended. */
  readonly ended: Promise<number>
  readonly #child: ChildProcess
  #running = true
  readonly #shown: (line: string) => string | null
  #held: string[] | null = []

  constructor(options: BrokerOptions) {
    const { port, persistTo, vars, config = 'wrangler.toml', shown = (line) => line, onOutput, onErrorOutput } = options
    this.#shown = shown
    this.url = `http://${LOOPBACK}:${port}`
    const listen = ['--ip', LOOPBACK, '--port', String(port), '--inspector-port', '0', '--persist-to', persistTo]
    const set = Object.entries(vars).flatMap(([name, value]) => ['--var', `${name}:${value}`])
    const calm = ['--show-interactive-dev-session=false', '--log-level', 'log']
    this.#child = spawn(process.execPath, [wranglerEntry, 'dev', '--config', config, ...listen, ...calm, ...set], {
      cwd: projectRoot,
      env: quietEnvironment,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    this.#read(this.#child.stdout, onOutput)
    this.#read(this.#child.stderr, onErrorOutput)
    this.ended = new Promise((resolve) => {
      // Not 'close': workerd may outlive wrangler and hold its pipes.
      this.#child.once('exit', (code) => resolve(code ?? 1))
      this.#child.once('error', () => resolve(1))
    })
    void this.ended.then(() => {
      this.#running = false
    })
    process.once('exit', () => this.#signal('SIGKILL'))
  }

  /** Resolves when /readyz says yes; refuses when the process ends or the deadline passes before. */
  async untilReady(): Promise<void> {
    const deadline = Date.now() + READY_DEADLINE_MS
    while (Date.now() < deadline) {
      if (!this.#running) throw new Refusal('wrangler dev ended before the broker was ready; see above.')
      if (await this.#isReady()) return
      await sleep(PROBE_PAUSE_MS)
    }
    throw new Refusal(`The broker was not ready within ${READY_DEADLINE_MS / 1000} seconds; see above.`)
  }

  showOutput(): void {
    for (const line of this.#held ?? []) console.log(line)
    this.#held = null
  }

  forgetOutput(): void {
    this.#held = null
  }

  async stop(): Promise<void> {
    this.#held = [] // what it prints while it ends is not shown
    this.#signal('SIGTERM')
    await Promise.race([this.ended, sleep(STOP_DEADLINE_MS, undefined, { ref: false })])
    this.#signal('SIGKILL')
  }

  async #isReady(): Promise<boolean> {
    try {
      const response = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(PROBE_DEADLINE_MS) })
      await response.body?.cancel()
      return response.status === 200
    } catch {
      return false // not listening yet
    }
  }

  #read(stream: Readable | null, onOutput: ((chunk: Buffer) => void) | undefined): void {
    if (stream === null) return
    if (onOutput) stream.on('data', onOutput)
    createInterface({ input: stream }).on('line', (line) => {
      if (this.#held) this.#held.push(line)
      else this.#print(line)
    })
  }

  #print(line: string): void {
    const shown = this.#shown(line)
    if (shown !== null) console.log(shown)
  }

  /** To the whole group: wrangler, its bundler and workerd. */
  #signal(signal: NodeJS.Signals): void {
    const { pid } = this.#child
    if (pid === undefined) return
    try {
      process.kill(process.platform === 'win32' ? pid : -pid, signal)
    } catch {
      // the group is gone
    }
  }
}
