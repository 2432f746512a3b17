// Programs that nobody here wrote, as docs/integrations.md configures them, and the broker with a real TURN server that they ask.
// No assertions here.
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { fencesOf, sectionOf, textOf } from '../docs/repository.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

/** Debian's own, which has Debian's modules. */
export const PYTHON = '/usr/bin/python3'
/** Not in the path of every user. */
export const NGINX = '/usr/sbin/nginx'
const KILLED_AFTER_MS = 5_000

const runs = (program: string, ...options: string[]) => spawnSync(program, options, { stdio: 'ignore' }).status === 0
const PARTS = {
  coturn: turnServerIsInstalled,
  janus: () => runs('which', 'janus'),
  prosody: () => runs('which', 'prosody'),
  'nginx-light': () => runs(NGINX, '-v'),
  'python3-aiortc': () => runs(PYTHON, '-c', 'import aiortc'),
  'python3-gst-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-bad gstreamer1.0-nice': () =>
    runs(PYTHON, '-c', GSTREAMER),
} as const
const GSTREAMER = `
import gi
gi.require_version("Gst", "1.0")
gi.require_version("GstWebRTC", "1.0")
from gi.repository import Gst, GstWebRTC
Gst.init(None)
exit(None in [Gst.ElementFactory.find(name) for name in ("webrtcbin", "nicesink", "sctpenc", "dtlsenc")])`

/** Whether Debian's packages are there. Where one is missing, one line says so, and in CI that is a failure. */
export function areInstalled(...parts: (keyof typeof PARTS)[]): boolean {
  const missing = parts.filter((part) => !PARTS[part]())
  if (missing.length === 0) return true
  const line = `not installed (Debian: apt-get install ${missing.join(' ')})`
  if (process.env.CI) throw new Error(`${line}, and in CI nothing is skipped`)
  console.log(`skipped: ${line}`)
  return false
}

export interface Surroundings {
  broker: RunningBroker
  turnServer: RunningTurnServer
  token: string
  /** A code block of docs/integrations.md, with the address of this broker and the token in it. */
  written(heading: string, language: string): string
  /** Usernames of credentials that the broker minted and that hold a relay now. */
  relayed(): Promise<string[]>
  stop(): Promise<void>
}

export async function startSurroundings(): Promise<Surroundings> {
  const turnServer = await startTurnServer()
  const broker = await startBroker({ turnServer })
  const scopes = ['turn_keys:write', 'credentials:issue', 'credentials:read', 'credentials:revoke'] as const
  const { token } = await broker.newTenant('acme', { scopes: [...scopes] })
  const response = await fetch(`${broker.url}/client/v4/accounts/acme/calls/turn_keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: '{"name":"relays"}',
  })
  if (response.status !== 201) throw new Error(await response.text())
  const { host } = new URL(broker.url)
  return {
    broker,
    turnServer,
    token,
    written(heading, language) {
      const page = sectionOf(textOf('docs/integrations.md'), heading)
      const fence = fencesOf(page).find((each) => each.language === language)
      if (!fence) throw new Error(`docs/integrations.md has no ${language} under ${heading}`)
      return fence.code
        .replaceAll(/https:\/\/((?:\w+:API_TOKEN@)?)turn\.example\.com/g, `http://$1${host}`)
        .replaceAll('API_TOKEN', token)
    },
    relayed: () => turnServer.relayed(),
    async stop() {
      await broker.stop()
      await turnServer.close()
    },
  }
}

/** A folder that goes away with its test. */
export function newFolder(): { path: string; remove(): void } {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-foreign-'))
  return { path: folder, remove: () => rmSync(folder, { recursive: true, force: true, maxRetries: 5 }) }
}

export interface Program {
  /** What it printed. */
  output(): string
  /** Resolves when it prints this; rejects if it ends before, or after some seconds. */
  prints(pattern: RegExp, withinMs?: number): Promise<string>
  stop(): Promise<void>
}

export function start(program: string, options: string[], env: Record<string, string> = {}): Program {
  const child = spawn(program, options, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] })
  const killed = () => child.kill('SIGKILL')
  process.once('exit', killed)
  let text = ''
  const heard = new Set<() => void>()
  const hear = (chunk: Buffer) => {
    text += chunk.toString()
    for (const each of heard) each()
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  return {
    output: () => text,
    prints: (pattern, withinMs = 20_000) =>
      new Promise((resolve, reject) => {
        const fail = (why: string) => reject(new Error(`${program} ${why} before it printed ${pattern}:\n${text}`))
        const timer = setTimeout(() => fail(`had ${withinMs} ms`), withinMs)
        const look = () => {
          const found = pattern.exec(text)
          if (!found) return
          clearTimeout(timer)
          heard.delete(look)
          resolve(found[1] ?? found[0])
        }
        heard.add(look)
        child.once('close', () => fail('ended'))
        child.once('error', (error) => fail(String(error)))
        look()
      }),
    async stop() {
      process.off('exit', killed)
      await ended(child)
    },
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), KILLED_AFTER_MS)
  await exit
  clearTimeout(timer)
}
