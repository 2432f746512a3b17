/** What the HTTP contract says of every answer to every caller. Applied to each by broker.ts. */
import { CLOUDFLARE_PREFIXES } from '../../../src/contract/routes.ts'
import { CLOUDFLARE_TURN_KEY, ERRORS, type ErrorCode, MAX_RETRY_AFTER_SECONDS } from '../../../src/errors.ts'
import type { Answer } from './answer.ts'
import { type Asked, documentBreaches } from './openapi.ts'

const REQUEST_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/** Each breach with the answer behind it; empty when the answer keeps the contract. */
export function breachesOf(asked: Asked, answer: Answer): string[] {
  const found = [
    ...headerBreaches(asked.url, answer),
    ...(asked.method === 'HEAD' ? [] : bodyBreaches(asked.url, answer)),
    ...documentBreaches(asked, decodedPath(asked.url), answer),
  ]
  return found.map((breach) => `${asked.method} ${asked.url}: ${breach}, in ${shown(answer)}`)
}

/** An answer as a failing assertion prints it. */
export const shown = (answer: Answer): string =>
  `${answer.status} ${answer.text.slice(0, 400)} ${JSON.stringify([...answer.headers])}`

/** All of an answer that a caller can compare. */
export function bytesOf({ status, headers, text }: Answer): string {
  const id = headers.get('x-request-id') ?? 'no id'
  const fields = [...headers].filter(([name]) => name !== 'date').map((field) => field.join(': '))
  return [status, ...fields, text].join('\n').replaceAll(id, '(request id)')
}

/** `401 invalid_token`, or with Cloudflare's number in its envelope: `401 10000`. What is no error is its status. */
export const outcomeOf = ({ status, json }: Answer): string =>
  status < 400 ? String(status) : `${status} ${json?.code ?? json?.errors?.[0]?.code ?? '-'}`

/** The browser library: no answer of the API, and the only thing that may be cached. */
const isScript = (url: string, status: number) => status < 400 && /^\/client(\/[^/]+)?\.js$/.test(decodedPath(url))

function headerBreaches(url: string, { status, headers }: Answer): string[] {
  const must: [boolean, string][] = [
    [REQUEST_ID.test(headers.get('x-request-id') ?? ''), 'no X-Request-Id'],
    [/^max-age=\d{7,}/.test(headers.get('strict-transport-security') ?? ''), 'no HSTS'],
    [headers.get('x-content-type-options') === 'nosniff', 'no nosniff'],
    [headers.get('cache-control') === 'no-store' || isScript(url, status), 'may be cached'],
    [status !== 401 || /^Bearer\b/.test(headers.get('www-authenticate') ?? ''), 'no WWW-Authenticate'],
    [status !== 405 || /^[A-Z]+(, [A-Z]+)*$/.test(headers.get('allow') ?? ''), 'no Allow'],
    [status < 300 || status >= 400 || (status === 304 && isScript(url, status)), 'a redirect'],
    [isWait(headers.get('retry-after')), 'a Retry-After out of bounds'],
  ]
  return must.filter(([kept]) => !kept).map(([, breach]) => breach)
}

const isWait = (header: string | null) =>
  header === null || (/^\d+$/.test(header) && Number(header) >= 1 && Number(header) <= MAX_RETRY_AFTER_SECONDS)

function bodyBreaches(url: string, answer: Answer): string[] {
  const isEnvelope = CLOUDFLARE_PREFIXES.some((prefix) => decodedPath(url).startsWith(prefix))
  if (answer.text === '') return [204, 304].includes(answer.status) ? [] : ['no body']
  if (isEnvelope) return envelopeBreaches(url, answer)
  // /readyz says no in its own words.
  if (answer.status < 400 || 'ready' in (answer.json ?? {})) return []
  return problemBreaches(answer)
}

function problemBreaches({ status, headers, json }: Answer): string[] {
  const row = ERRORS[json?.code as ErrorCode] // undefined for a code that is not in the table
  if (headers.get('content-type') !== 'application/problem+json' || !row) return ['no problem of the table']
  const wait = headers.get('retry-after')
  const expected = {
    type: `https://github.com/turn-broker/turn-broker/blob/main/docs/errors.md#${json.code}`,
    title: row.title,
    status: row.status,
    detail: json.detail,
    code: json.code,
    requestId: headers.get('x-request-id'),
    ...(wait === null ? {} : { retryAfter: Number(wait) }),
  }
  const isSentence = typeof json.detail === 'string' && json.detail.length > 0 && json.detail.length < 300
  return row.status === status && isSentence && same(json, expected) ? [] : ['a problem of another shape']
}

function envelopeBreaches(url: string, { status, headers, json }: Answer): string[] {
  if (!/^application\/json\b/.test(headers.get('content-type') ?? '')) return ['no JSON']
  // Cloudflare's credential calls say yes without an envelope, with nothing but the servers.
  if (status < 400 && decodedPath(url).startsWith('/v1/turn/'))
    return same({ ...json, iceServers: 0 }, { iceServers: 0 }) ? [] : ['more than ICE servers']
  if (status < 400) {
    return same({ ...json, result: 0 }, { success: true, errors: [], messages: [], result: 0 })
      ? []
      : ['another envelope']
  }
  const [error] = json?.errors ?? []
  const codes = Object.values(ERRORS)
    .filter((row) => row.status === status)
    .map((row) => row.cloudflareCode)
  const isKnown = codes.includes(error?.code) || (status === 404 && error?.code === CLOUDFLARE_TURN_KEY)
  const expected = {
    success: false,
    errors: [{ code: error?.code, message: error?.message }],
    messages: [],
    result: null,
  }
  return isKnown && typeof error.message === 'string' && same(json, expected) ? [] : ['another error envelope']
}

const same = (left: unknown, right: unknown) => JSON.stringify(left) === JSON.stringify(right)

function decodedPath(url: string): string {
  const { pathname } = new URL(url)
  try {
    return decodeURI(pathname)
  } catch {
    return pathname
  }
}
