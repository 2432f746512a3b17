/**
 * One attempt to get a list: get a token, send the request, and repeat both once after a 401, if the token comes from a function. It is a CORS simple
 * request (a form, no custom header), so the browser sends no preflight. Never throws.
 */
import type { IceServersAnswer } from '../contract/resources/credentials.ts'
import type { IceServersOptions } from './api.ts'
import { SECOND_MS, within } from './clock.ts'

const TOKEN_DEADLINE_MS = 30 * SECOND_MS
const REQUEST_DEADLINE_MS = 10 * SECOND_MS
/** Cloudflare's maximum, 48 h. An answer with a longer ttl is invalid. */
const MAX_TTL_SECONDS = 172_800
const MAX_RETRY_AFTER_SECONDS = 60

export interface Refusal {
  code: string
  status?: number
  detail?: string
  retryAfterSeconds?: number
}

/** `sentAt` is taken just before sending, so an expiry counted from it is early rather than late. */
export type Attempt = { answer: IceServersAnswer; sentAt: number } | { refusal: Refusal }

export interface AttemptOptions extends Pick<IceServersOptions, 'url' | 'getToken' | 'ttl' | 'fetch'> {
  now: () => number
  stopped: AbortSignal
}

export async function attempt(options: AttemptOptions): Promise<Attempt> {
  const first = await attemptOnce(options)
  const isUnauthorized = 'refusal' in first && first.refusal.status === 401
  return isUnauthorized && typeof options.getToken === 'function' ? attemptOnce(options) : first
}

async function attemptOnce(options: AttemptOptions): Promise<Attempt> {
  const { url, getToken, ttl, now, stopped } = options
  let code = 'token_unavailable'
  let deadlineMs = TOKEN_DEADLINE_MS
  try {
    const token = await within({ deadlineMs, stopped }, () => (typeof getToken === 'function' ? getToken() : getToken))
    if (!token || typeof token !== 'string') return { refusal: { code } }
    const body = new URLSearchParams({ access_token: token })
    if (ttl) body.set('ttl', String(ttl))
    code = 'network'
    deadlineMs = REQUEST_DEADLINE_MS
    const sentAt = now()
    return await within({ deadlineMs, stopped }, async (signal) => {
      // Following a redirect would send the token to another host.
      const init = { method: 'POST', body, credentials: 'omit', redirect: 'manual', signal } as const
      const response = await (options.fetch ?? fetch)(url, init)
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
  // Each field is checked below.
  const { iceServers, ttl = 0, refreshAfter = 0, source } = (value ?? {}) as Partial<IceServersAnswer>
  const isValid =
    Array.isArray(iceServers) &&
    iceServers.every((server) => Array.isArray(server?.urls)) &&
    ttl > 0 &&
    ttl <= MAX_TTL_SECONDS &&
    refreshAfter > 0 &&
    typeof source === 'string'
  return isValid ? (value as IceServersAnswer) : undefined // its fields were checked
}

/** Reads the broker's error code from its problem+json. A proxy in between may answer anything. */
function refusalIn({ ok, status, headers }: Response, problem: unknown): Refusal {
  // Each field is checked below.
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
