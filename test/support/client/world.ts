/**
 * The browser library against the real app, with time in the test's hands: its `fetch` is the app, its timers and the clock
 * of everything are moved by `pass`. Any answer can be played instead. Watches what must hold of every request.
 */

import { onTestFinished, vi } from 'vitest'
import type { Degraded, IceServerList, IceServersError, IceServersOptions } from '../../../src/client/api.ts'
import { createIceServers } from '../../../src/client/iceServers.ts'
import type { IceServersAnswer } from '../../../src/contract/resources/credentials.ts'
import { newBroker, ORIGIN } from '../broker/broker.ts'
import { HOUR_MS } from '../broker/clock.ts'
import { APP, clientToken, iceServersPath, served } from '../broker/doors.ts'
import { accountSql } from '../storage/tenantRows.ts'

const realSetTimeout = globalThis.setTimeout
const nextTurn = () => new Promise((resolve) => realSetTimeout(resolve, 0))

/** `hang`: never answered. `undefined`: the app answers. */
export type Play = (nth: number) => Response | Error | 'hang' | undefined

export interface Sent {
  readonly at: number
  readonly input: unknown
  readonly init: RequestInit
  readonly body: string
}

export type World = ReturnType<typeof worldOf>

/** With the real app behind the library's `fetch`, and a tenant in it. */
export async function newWorld(given: { policy?: object; options?: Partial<IceServersOptions> } = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', given.policy ? { policy: given.policy } : {})
  /** When each credential ends, as the broker says. */
  const ends = new Map<string, number>()

  async function app(body: string): Promise<Response> {
    const headers = { 'content-type': 'application/x-www-form-urlencoded;charset=UTF-8', origin: APP }
    const answer = await broker.send(iceServersPath('acme'), { method: 'POST', headers, body })
    if (answer.status === 201) {
      const { iceServers, expiresAt } = answer.json as IceServersAnswer // the contract is checked elsewhere
      for (const server of iceServers) if ('username' in server) ends.set(server.username, Date.parse(expiresAt))
    }
    return new Response(answer.text, { status: answer.status, headers: answer.headers })
  }

  // Put to sleep meanwhile, it would escape the reset between tests.
  onTestFinished(async () => {
    await accountSql('SELECT 1')
  })
  const world = worldOf({ app, getToken: () => clientToken(broker, acme), options: given.options ?? {} })
  return Object.assign(world, { broker, acme, ends })
}

/** With played answers only. */
export function playedWorld(play: Play, options: Partial<IceServersOptions> = {}): World {
  const world = worldOf({ app: () => Promise.reject(new Error('not played')), getToken: async () => 'token', options })
  return Object.assign(world, { play })
}

interface Behind {
  app: (body: string) => Promise<Response>
  getToken: () => Promise<string>
  options: Partial<IceServersOptions>
}

function worldOf({ app, getToken, options }: Behind) {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
  // Ahead of the real time, or the objects' alarms would come by themselves.
  vi.setSystemTime(Date.now() + HOUR_MS)

  const sent: Sent[] = []
  const told: { update: IceServerList[]; degraded: Degraded[]; error: IceServersError[] } = {
    update: [],
    degraded: [],
    error: [],
  }
  const watch = { busy: 0, inFlight: 0, mostInFlight: 0 }

  async function busily<T>(work: () => Promise<T>): Promise<T> {
    watch.busy++
    try {
      return await work()
    } finally {
      watch.busy--
    }
  }

  const fetch = async (input: unknown, init: RequestInit = {}): Promise<Response> => {
    watch.inFlight++
    watch.mostInFlight = Math.max(watch.mostInFlight, watch.inFlight)
    try {
      const body = String(init.body)
      sent.push({ at: Date.now(), input, init, body })
      const played = world.play(sent.length)
      if (played instanceof Error) throw played
      if (played === 'hang') return await untilAborted(init.signal)
      return played ?? (await busily(() => app(body)))
    } finally {
      watch.inFlight--
      // The body is read in turns of the machine too.
      void busily(async () => {
        for (let turn = 0; turn < 2; turn++) await nextTurn()
      })
    }
  }

  const client = createIceServers({
    url: ORIGIN + iceServersPath('acme'),
    getToken: () => busily(getToken),
    fetch: fetch as typeof globalThis.fetch, // as the library calls it
    onUpdate: (list) => told.update.push(list),
    onDegraded: (state) => told.degraded.push(state),
    onError: (error) => told.error.push(error),
    ...options,
  })

  onTestFinished(() => {
    client.stop()
    vi.useRealTimers()
  })

  /** Until nothing is on its way. */
  async function idle(): Promise<void> {
    do for (let turn = 0; turn < 3; turn++) await nextTurn()
    while (watch.busy > 0)
  }

  /** Runs all timers of this time, each after what the one before has set off. */
  async function pass(ms: number, each: () => void = () => {}): Promise<void> {
    let over = false
    setTimeout(() => {
      over = true
    }, ms)
    await idle()
    while (!over) {
      vi.advanceTimersToNextTimer()
      // Turns of the machine are dear: over days they are taken only where the app is at work.
      for (let turn = 0; turn < 30; turn++) await null
      if (watch.busy > 0) await idle()
      each()
    }
    await idle()
  }

  /** A promise of the library with the app in it. */
  async function done<T>(promise: Promise<T>): Promise<T> {
    promise.catch(() => undefined)
    await idle()
    return promise
  }

  /** The machine slept: the clock went on, timers did not. */
  const sleep = (ms: number) => {
    vi.setSystemTime(Date.now() + ms)
  }

  const world = { play: (() => undefined) as Play, client, sent, told, watch, idle, pass, done, sleep }
  return world
}

export const usernameOf = (iceServers: { username?: string }[] = []): string | undefined =>
  iceServers.find(({ username }) => username !== undefined)?.username

/** An answer of the browser door as a test wants it. */
export function listAnswer(fields: object = {}): Response {
  const server = { urls: ['turn:turn.test:3478?transport=udp'], username: crypto.randomUUID(), credential: 'c' }
  const expiresAt = new Date(Date.now() + HOUR_MS).toISOString()
  return Response.json(
    { iceServers: [server], ttl: 3_600, expiresAt, refreshAfter: 1_800, source: 'minted', ...fields },
    { status: 201 },
  )
}

export const STUN_ONLY = {
  iceServers: [{ urls: ['stun:stun.test:3478'] }],
  ttl: 60,
  refreshAfter: 60,
  source: 'stun-only',
}

export function problem(status: number, code: string, headers: Record<string, string> = {}): Response {
  return Response.json({ code, status, title: 'T', detail: 'D.' }, { status, headers })
}

const untilAborted = (signal: AbortSignal | null | undefined): Promise<never> =>
  new Promise((_, reject) => signal?.addEventListener('abort', () => reject(new Error('aborted'))))
