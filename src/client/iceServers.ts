/**
 * Entry of the browser library: keeps one valid list of ICE servers. Never uses a list after its expiry, never has more
 * than one request in flight, and does not retry before the backoff has passed.
 */
import type { IceServersAnswer } from '../contract/resources/credentials.ts'
import type {
  AttachOptions,
  IceServerList,
  IceServersClient,
  IceServersError,
  IceServersOptions,
  PeerConnection,
  Snapshot,
  Token,
} from './api.ts'
import { between, newAlarm, newClock, SECOND_MS } from './clock.ts'
import { type Held, newConnections } from './connections.ts'
import { type Attempt, attempt, type Refusal } from './request.ts'
import { newSnapshots } from './snapshots.ts'

export type * from './api.ts'

const NEVER = Number.POSITIVE_INFINITY
/** Renew at this share of `refreshAfter`, random so that pages do not renew all at once. */
const AHEAD = [0.85, 0.95] as const
/** After the same credential again: the broker returns it until half of its life is over, so wait this share. */
const AFTER = [1.01, 1.1] as const
/** While the broker keeps returning the same credential, retry after at least this share of its remaining life. */
const AFTER_SHARE = 0.1
/** Renew at this share of a credential's life at the latest. The rest is time for retries. */
const LATEST = [0.7, 0.8] as const
/** Refusals that no repeat changes. Any other 403 may be a proxy's or the end of a suspension away. */
const ENDS = ['subject_banned', 'origin_not_allowed', 'insufficient_scope', 'https_required']
const LEAST_WAIT_MS = SECOND_MS
const BACK_ONLINE_MS = [SECOND_MS, 3 * SECOND_MS] as const
const MAX_BACKOFF_SECONDS = 60
/** Minimum time between two early renewals. It doubles after each, and is reset after `QUIET_MS` without a request. */
const FORCE_MS = 10 * SECOND_MS
const MAX_FORCE_MS = 600 * SECOND_MS
const QUIET_MS = 2 * MAX_FORCE_MS

/** Sends nothing before the first `get`, `attach` or `subscribe`. */
export function createIceServers(options: IceServersOptions): IceServersClient
export function createIceServers(
  url: string,
  token: Token,
  options?: Omit<IceServersOptions, 'url' | 'getToken'>,
): IceServersClient
export function createIceServers(
  first: IceServersOptions | string,
  token: Token = '',
  others?: object,
): IceServersClient {
  const options = typeof first === 'string' ? { ...others, url: first, getToken: token } : first
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
  /** The error of the last attempt. */
  let failure: IceServersError | undefined
  /** After a refusal of `ENDS` there are no further attempts. */
  let ended = false
  let errorReported = false
  /** The error of the snapshot: `failure`, or why the list that arrived is not a new relay. */
  let problem: IceServersError | null = null

  const current = (): Held | undefined => (held && now() < held.endsAt ? held : undefined)
  const local = (time: number): number => Date.now() + time - now()
  const { getSnapshot, listen, publish } = newSnapshots(tell)
  const connections = newConnections({ now, current, force, changed: rearm })

  /** Calls a callback of the page. Its exception or rejection is logged and must not stop the library. */
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
    // Back online: an attempt that failed with a network error is repeated without waiting for the backoff.
    if (event?.type === 'online' && failure?.code === 'network') {
      dueAt = Math.min(dueAt, now() + between(...BACK_ONLINE_MS))
    }
    if (now() >= dueAt || !(current() || failure)) renew()
    if (failure && inFlight === undefined && !current()) tellError(failure)
    publish(current()?.list ?? null, problem)
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
    const retryAt = !waiting && time < mayForceAt ? mayForceAt : NEVER
    if (!waiting && retryAt === NEVER) {
      mayForceAt = time + forceMs
      forceMs = Math.min(forceMs * 2, MAX_FORCE_MS)
      renew()
    }
    await inFlight
    return retryAt
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
    const isSame = username !== undefined && username === known?.username
    const refreshMs = answer.refreshAfter * SECOND_MS
    // A repeated credential keeps its first `refreshAt`: the broker's `refreshAfter` is 5 s or more each time.
    const refreshAt = Math.min(now() + refreshMs, isSame && known ? known.refreshAt : NEVER)
    const wait = isSame
      ? Math.max(refreshMs * between(...AFTER) + SECOND_MS, lifeMs * AFTER_SHARE)
      : refreshMs * between(...AHEAD)
    const latest = username === undefined ? lifeMs : lifeMs * between(...LATEST)
    dueAt = Math.ceil(Math.max(now() + LEAST_WAIT_MS, sentAt + Math.min(wait, latest)))
    failures = 0
    failure = undefined
    problem = null
    if (username === undefined && known?.username !== undefined) {
      // The held list still has a relay, which is better than the new STUN-only list.
      dueAt = Math.min(dueAt, known.endsAt)
      failure = errorOf({ code: 'stun_only' }, dueAt - now())
    } else {
      const list: IceServerList = { iceServers, source, expiresAt: local(endsAt), renewsAt: local(dueAt) }
      held = { list, username, begunAt: sentAt, refreshAt, endsAt }
      errorReported = false
      tell(options.onUpdate, list)
      connections.renewed()
    }
    if (username === undefined) tellDegraded('stun_only')
    // Requested after `refreshAt`, and the broker still returned the same credential.
    else if (isSame && known && sentAt >= known.refreshAt) tellDegraded('not_renewed')
  }

  function refused(refusal: Refusal): void {
    const { retryAfterSeconds = 0, status, code } = refusal
    const most = status === 403 ? MAX_BACKOFF_SECONDS : Math.min(MAX_BACKOFF_SECONDS, 2 ** ++failures)
    const backoff = between(status === 403 ? most / 2 : 1, most)
    const wait = Math.max(retryAfterSeconds, backoff) * SECOND_MS
    ended = status === 403 && ENDS.includes(code)
    dueAt = ended ? NEVER : now() + wait
    failure = errorOf(refusal, ended ? undefined : wait)
    problem = failure
    if (ended) errorReported = false
    if (ended || !current()) tellError(failure)
    else tellDegraded(failure.code)
  }

  function tellDegraded(code: string): void {
    if (!held) return
    const retryInSeconds = Math.ceil((dueAt - now()) / SECOND_MS)
    problem ??= errorOf({ code }, dueAt - now())
    tell(options.onDegraded, { code, retryInSeconds, expiresAt: local(held.endsAt) })
  }

  function tellError(error: IceServersError): void {
    if (errorReported) return
    errorReported = true
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

    getSnapshot,

    subscribe(listener: (snapshot: Snapshot) => unknown) {
      const unsubscribe = listen(listener)
      start()
      tick()
      return unsubscribe
    },

    stop,
    [Symbol.dispose ?? Symbol.for('Symbol.dispose')]: stop,
  } as IceServersClient // some browsers have no Symbol.dispose

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
