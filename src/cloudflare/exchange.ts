/**
 * One HTTP exchange with an upstream API: one request, a deadline over headers and body, a limit on bytes, no redirects.
 * Never retries, never throws, and does not interpret the answer: the callers do.
 */

import { parseStrictJson } from '../contract/strictJson.ts'
import { type RateLeft, rateLeftOf, retryAfterOf } from './rateHeaders.ts'

/** `fetch` and the clock, injected by the objects and by tests. */
export interface Upstream {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly now: () => number
}

export interface ExchangeRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  /** Sent as `Authorization: Bearer`. */
  readonly bearer?: string
  readonly body?: unknown
  /** From the start of the call to the last byte of the answer. */
  readonly deadlineMs: number
  readonly maxBytes: number
}

export type Exchange =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** The parsed JSON, or why the body could not be parsed. */
      readonly body: { readonly json: unknown } | { readonly problem: BodyProblem }
      readonly retryAfterSeconds: number | undefined
      readonly rate: RateLeft | undefined
    }
  /** No answer: it is unknown whether upstream received the request or acted on it. */
  | { readonly kind: 'unanswered'; readonly reason: 'timeout' | 'network' }

export type BodyProblem = 'empty' | 'not-json' | 'repeated-name' | 'too-deep' | 'too-large' | 'timeout' | 'cut'

/** Answers of Cloudflare and key sets nest about 5 deep. */
const MAX_DEPTH = 32

export async function exchange(upstream: Upstream, request: ExchangeRequest): Promise<Exchange> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), request.deadlineMs)
  try {
    const response = await upstream.fetch(request.url, {
      method: request.method,
      headers: {
        ...(request.bearer === undefined ? {} : { authorization: `Bearer ${request.bearer}` }),
        accept: 'application/json',
        'user-agent': 'turn-broker',
        ...(request.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(request.body === undefined ? {} : { body: JSON.stringify(request.body) }),
      redirect: 'manual',
      signal: abort.signal,
    })
    return {
      kind: 'answered',
      status: response.status,
      body: await readJson(response, request.maxBytes, abort.signal),
      retryAfterSeconds: retryAfterOf(response.headers.get('retry-after'), upstream.now()),
      rate: rateLeftOf(response.headers.get('ratelimit')),
    }
  } catch {
    return { kind: 'unanswered', reason: abort.signal.aborted ? 'timeout' : 'network' }
  } finally {
    clearTimeout(timer)
  }
}

async function readJson(
  response: Response,
  maxBytes: number,
  signal: AbortSignal,
): Promise<{ json: unknown } | { problem: BodyProblem }> {
  const bytes = await readBytes(response, maxBytes, signal)
  if (typeof bytes === 'string') return { problem: bytes }
  if (bytes.byteLength === 0) return { problem: 'empty' }
  return parseStrictJson(bytes, { maxDepth: MAX_DEPTH, ignoreBOM: false })
}

async function readBytes(response: Response, maxBytes: number, signal: AbortSignal): Promise<Uint8Array | BodyProblem> {
  const announced = Number(response.headers.get('content-length') ?? 0)
  const reader = response.body?.getReader()
  if (!reader) return new Uint8Array()
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) break
      length += value.byteLength
      if (length > maxBytes) {
        await reader.cancel()
        return 'too-large'
      }
      chunks.push(value)
    }
  } catch {
    return signal.aborted ? 'timeout' : 'cut'
  }
  if (length < announced && !response.headers.has('content-encoding')) return 'cut'
  const bytes = new Uint8Array(length)
  let offset = 0
  for (const chunk of chunks) {
    bytes.set(chunk, offset)
    offset += chunk.byteLength
  }
  return bytes
}
