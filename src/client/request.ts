/**
 * One attempt to get a list: token, request, and once more with a new token after a 401. A CORS simple request: a form
 * and no header of our own, so that there is no preflight. Never throws.
 */
import type { IceServersAnswer } from '../contract/resources/credentials.ts'
import type { IceServersOptions } from './api.ts'
import { SECOND_MS, within } from './clock.ts'

const TOKEN_DEADLINE_MS = 30 * SECOND_MS
const REQUEST_DEADLINE_MS = 10 * SECOND_MS
/** Cloudflare's own bound: what claims to live longer is no answer of the broker. */
const MAX_TTL_SECONDS = 172_800
const MAX_RETRY_AFTER_SECONDS = 60

export interface Refusal {
  code: string
  status?: number
  detail?: string
  retryAfterSeconds?: number
}

/** `sentAt`: just before the request left, so that what is counted from it ends early rather than late. */
export type Attempt = { answer: IceServersAnswer; sentAt: number } | { refusal: Refusal }

export interface Asker extends Pick<IceServersOptions, 'url' | 'getToken' | 'ttl' | 'fetch'> {
  now: () => number
  stopped: AbortSignal
}

export async function attempt(asker: Asker): Promise<Attempt> {
  const first = await attemptOnce(asker)
  const again = 'refusal' in first && first.refusal.status === 401
  return again ? attemptOnce(asker) : first
}

async function attemptOnce(asker: Asker): Promise<Attempt> {
  const { url, getToken, ttl, now, stopped } = asker
  let code = 'token_unavailable'
  let deadlineMs = TOKEN_DEADLINE_MS
  try {
    const token = await within({ deadlineMs, stopped }, () => getToken())
    if (!token || typeof token !== 'string') return { refusal: { code } }
    const body = new URLSearchParams({ access_token: token })
    if (ttl) body.set('ttl', String(ttl))
    code = 'network'
    deadlineMs = REQUEST_DEADLINE_MS
    const sentAt = now()
    return await within({ deadlineMs, stopped }, async (signal) => {
      // A redirect would carry the token elsewhere.
      const init = { method: 'POST', body, credentials: 'omit', redirect: 'manual', signal } as const
      const response = await (asker.fetch ?? fetch)(url, init)
      const text = await response.text()
      const answer = response.ok && answerIn(parsed(text))
      return answer ? { answer, sentAt } : { refusal: refusalIn(response, parsed(text)) }
    })
  } catch {
    return { refusal: { code } }
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return
  }
}

function answerIn(value: unknown): IceServersAnswer | undefined {
  // Nothing is believed of it before it was looked at.
  const { iceServers, ttl = 0, refreshAfter = 0, source } = (value ?? {}) as Partial<IceServersAnswer>
  const sound =
    Array.isArray(iceServers) &&
    iceServers.every((server) => Array.isArray(server?.urls)) &&
    ttl > 0 &&
    ttl <= MAX_TTL_SECONDS &&
    refreshAfter > 0 &&
    typeof source === 'string'
  return sound ? (value as IceServersAnswer) : undefined // it was looked at
}

/** The broker's stable code out of its problem+json. What stands between may answer anything. */
function refusalIn({ ok, status, headers }: Response, problem: unknown): Refusal {
  // Each field is looked at below.
  const { code, detail, retryAfter } = (problem ?? {}) as { code?: unknown; detail?: unknown; retryAfter?: unknown }
  if (ok) return { code: 'bad_answer', status }
  const seconds = Number(headers.get('Retry-After') ?? retryAfter)
  return {
    code: typeof code === 'string' ? code : `http_${status}`,
    status,
    ...(typeof detail === 'string' ? { detail } : {}),
    ...(seconds > 0 ? { retryAfterSeconds: Math.min(seconds, MAX_RETRY_AFTER_SECONDS) } : {}),
  }
}
