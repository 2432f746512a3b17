/**
 * The browser library's entry: keeps one valid list of ICE servers. A list is never used past its end, at most one request
 * is in flight, and after a failure there is none before its time.
 */
import type { IceServersAnswer } from '../contract/resources/credentials.ts'
import type {
  AttachOptions,
  IceServerList,
  IceServersClient,
  IceServersError,
  IceServersOptions,
  PeerConnection,
} from './api.ts'
import { between, newAlarm, newClock, SECOND_MS } from './clock.ts'
import { type Held, newConnections } from './connections.ts'
import { type Attempt, attempt, type Refusal } from './request.ts'

export type * from './api.ts'

const NEVER = Number.POSITIVE_INFINITY
/** Ahead of the time the broker names, and not all pages at once. */
const AHEAD = [0.85, 0.95] as const
/** The broker gave what is held already, as it does until that is half over: asking again earlier is in vain. */
const AFTER = [1.01, 1.1] as const
/** Of what is left of it: as it does to its end while no other can be had. */
const AFTER_SHARE = 0.1
/** However late the broker would have it: the rest of a credential's life is kept for retries. */
const LATEST = [0.7, 0.8] as const
const LEAST_WAIT_MS = SECOND_MS
const BACK_ONLINE_MS = [SECOND_MS, 3 * SECOND_MS] as const
const MAX_BACKOFF_SECONDS = 60
/** Between two renewals out of turn: twice as long after each, until none was wanted for a while. */
const FORCE_MS = 10 * SECOND_MS
const MAX_FORCE_MS = 600 * SECOND_MS
const QUIET_MS = 2 * MAX_FORCE_MS

export function createIceServers(options: IceServersOptions): IceServersClient {
  const now = newClock()
  const stopping = new AbortController()
  const stopped = stopping.signal
  let alarm: ReturnType<typeof newAlarm> | undefined
  let held: Held | undefined
  let inFlight: Promise<void> | undefined
  let dueAt = NEVER
  let mayForceAt = 0
  let forceMs = FORCE_MS
  let troubledAt = 0
  let failures = 0
  /** Of the last attempt. */
  let failure: IceServersError | undefined
  /** There will be no further attempt. */
  let ended = false
  let told = false

  const current = (): Held | undefined => (held && now() < held.endsAt ? held : undefined)
  const local = (time: number): number => Date.now() + time - now()
  const connections = newConnections({ now, current, force, changed: rearm })

  /** What a callback throws, or rejects with, is the page's; it must not end the library. */
  function tell<T>(callback: ((value: T) => unknown) | undefined, value: T): void {
    if (!stopped.aborted) new Promise((settle) => settle(callback?.(value))).catch(console.error)
  }

  function start(): void {
    if (alarm || stopped.aborted) return
    dueAt = now()
    alarm = newAlarm(now, tick)
  }

  function rearm(): void {
    const endsAt = current()?.endsAt ?? NEVER
    if (!stopped.aborted) alarm?.set(Math.min(inFlight === undefined ? dueAt : NEVER, endsAt, connections.nextAt()))
  }

  function tick(event?: { type: string }): void {
    if (stopped.aborted) return
    // Back on the network: what failed for the lack of it need not wait any longer.
    if (event?.type === 'online' && failure?.code === 'network') {
      dueAt = Math.min(dueAt, now() + between(...BACK_ONLINE_MS))
    }
    if (now() >= dueAt || !(current() || failure)) renew()
    if (failure && inFlight === undefined && !current()) tellError(failure)
    connections.tick()
    rearm()
  }

  function renew(): void {
    if (ended || inFlight !== undefined) return
    inFlight = attempt({ ...options, now, stopped }).then((outcome) => {
      inFlight = undefined
      if (stopped.aborted) return
      settle(outcome)
      tick()
    })
  }

  async function force(): Promise<number> {
    const time = now()
    if (time - troubledAt > QUIET_MS) forceMs = FORCE_MS
    troubledAt = time
    const waiting = inFlight !== undefined || (failure && time < dueAt)
    const again = !waiting && time < mayForceAt ? mayForceAt : NEVER
    if (!waiting && again === NEVER) {
      mayForceAt = time + forceMs
      forceMs = Math.min(forceMs * 2, MAX_FORCE_MS)
      renew()
    }
    await inFlight
    return again
  }

  function settle(outcome: Attempt): void {
    if ('refusal' in outcome) refused(outcome.refusal)
    else if (outcome.sentAt + outcome.answer.ttl * SECOND_MS <= now()) refused({ code: 'expired' })
    else accepted(outcome.answer, outcome.sentAt)
  }

  function accepted(answer: IceServersAnswer, sentAt: number): void {
    const { iceServers, source } = answer
    const lifeMs = answer.ttl * SECOND_MS
    const endsAt = sentAt + lifeMs
    const known = current()
    const username = iceServers.map((server) => ('username' in server ? server.username : undefined)).find(Boolean)
    const again = username !== undefined && username === known?.username
    const refreshMs = answer.refreshAfter * SECOND_MS
    // The same credential was due at the same time however often it came: the broker asks for at least 5 s each time.
    const refreshAt = Math.min(now() + refreshMs, again && known ? known.refreshAt : NEVER)
    const wait = again
      ? Math.max(refreshMs * between(...AFTER) + SECOND_MS, lifeMs * AFTER_SHARE)
      : refreshMs * between(...AHEAD)
    const latest = username === undefined ? lifeMs : lifeMs * between(...LATEST)
    dueAt = Math.ceil(Math.max(now() + LEAST_WAIT_MS, sentAt + Math.min(wait, latest)))
    failures = 0
    failure = undefined
    if (username === undefined && known?.username !== undefined) {
      // What is held relays still: better than what came.
      dueAt = Math.min(dueAt, known.endsAt)
      failure = errorOf({ code: 'stun_only' }, dueAt - now())
    } else {
      const list: IceServerList = { iceServers, source, expiresAt: local(endsAt), renewsAt: local(dueAt) }
      held = { list, username, begunAt: sentAt, refreshAt, endsAt }
      told = false
      tell(options.onUpdate, list)
      connections.renewed()
    }
    if (username === undefined) tellDegraded('stun_only')
    // Asked for when the broker wanted to be asked, and still the same.
    else if (again && known && sentAt >= known.refreshAt) tellDegraded('not_renewed')
  }

  function refused(refusal: Refusal): void {
    const { retryAfterSeconds = 0, status } = refusal
    const backoff = between(1, Math.min(MAX_BACKOFF_SECONDS, 2 ** ++failures))
    const wait = Math.max(retryAfterSeconds, backoff) * SECOND_MS
    ended = status === 403
    dueAt = ended ? NEVER : now() + wait
    failure = errorOf(refusal, ended ? undefined : wait)
    if (ended) told = false
    if (ended || !current()) tellError(failure)
    else tellDegraded(failure.code)
  }

  function tellDegraded(code: string): void {
    if (!held) return
    const retryInSeconds = Math.ceil((dueAt - now()) / SECOND_MS)
    tell(options.onDegraded, { code, retryInSeconds, expiresAt: local(held.endsAt) })
  }

  function tellError(error: IceServersError): void {
    if (told) return
    told = true
    tell(options.onError, error)
  }

  return {
    async get() {
      start()
      tick()
      if (!current()) await inFlight
      const valid = !stopped.aborted && current()
      if (valid) return valid.list
      throw stopped.aborted ? errorOf({ code: 'stopped' }) : failure
    },

    attach(connection: PeerConnection, given?: AttachOptions) {
      if (stopped.aborted) return () => {}
      start()
      const detach = connections.attach(connection, given)
      tick()
      return detach
    },

    stop,
    [Symbol.dispose ?? Symbol.for('Symbol.dispose')]: stop,
  } as IceServersClient // a browser may have no Symbol.dispose yet

  function stop(): void {
    stopping.abort()
    alarm?.stop()
    connections.stop()
  }
}

function errorOf({ code, status, detail }: Refusal, waitMs?: number): IceServersError {
  return Object.assign(new Error(detail ?? `No ICE servers: ${code}`), {
    name: 'IceServersError' as const,
    code,
    ...(status === undefined ? {} : { status }),
    ...(waitMs === undefined ? {} : { retryInSeconds: Math.ceil(waitMs / SECOND_MS) }),
  })
}
