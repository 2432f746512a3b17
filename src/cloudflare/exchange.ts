/**
 * One exchange with an upstream API: asks once, with a deadline over headers and body, a bound on bytes and no
 * redirects. It never repeats, never throws, and judges nothing: reading an answer is the callers' business.
 */

import { type RateLeft, rateLeftOf, retryAfterOf } from './rateHeaders.ts'

/** The outward seam: tests and objects pass these in. */
export interface Upstream {
  readonly fetch: (url: string, init: RequestInit) => Promise<Response>
  readonly now: () => number
}

export interface Ask {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  /** Sent as `Authorization: Bearer`. */
  readonly bearer?: string
  readonly body?: unknown
  /** From the call to the last byte of the answer. */
  readonly deadlineMs: number
  readonly maxBytes: number
}

export type Exchange =
  | {
      readonly kind: 'answered'
      readonly status: number
      /** The parsed JSON, or why there is none. */
      readonly body: { readonly json: unknown } | { readonly problem: BodyProblem }
      readonly retryAfterSeconds: number | undefined
      readonly rate: RateLeft | undefined
    }
  /** Whether it was received, or even acted upon, is not known. */
  | { readonly kind: 'unanswered'; readonly reason: 'timeout' | 'network' }

export type BodyProblem = 'empty' | 'not-json' | 'too-large' | 'timeout' | 'cut'

export async function exchange(upstream: Upstream, ask: Ask): Promise<Exchange> {
  const abort = new AbortController()
  const timer = setTimeout(() => abort.abort(), ask.deadlineMs)
  try {
    const response = await upstream.fetch(ask.url, {
      method: ask.method,
      headers: {
        ...(ask.bearer === undefined ? {} : { authorization: `Bearer ${ask.bearer}` }),
        accept: 'application/json',
        'user-agent': 'turn-broker',
        ...(ask.body === undefined ? {} : { 'content-type': 'application/json' }),
      },
      ...(ask.body === undefined ? {} : { body: JSON.stringify(ask.body) }),
      redirect: 'manual',
      signal: abort.signal,
    })
    return {
      kind: 'answered',
      status: response.status,
      body: await readJson(response, ask.maxBytes, abort.signal),
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
  try {
    return { json: JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: false }).decode(bytes)) }
  } catch {
    return { problem: 'not-json' }
  }
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
