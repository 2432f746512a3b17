/** Reads a request's body, bounded in bytes and time. JSON must be UTF-8, have no repeated names and fit its schema. */
import type * as z from 'zod/mini'
import { within } from '../concurrency/deadline.ts'
import { parseStrictJson } from '../contract/strictJson.ts'
import { keyedDigest } from '../crypto/mac.ts'
import { BrokerError } from '../errors.ts'
import type { Ctx } from './context.ts'

export const MAX_BODY_BYTES = 16_384
export const BODY_DEADLINE_MS = 5_000
const MAX_DEPTH = 16
const FORM_TYPE = /^application\/x-www-form-urlencoded\s*(;|$)/i
const JSON_TYPE = /^application\/(merge-patch\+)?json\s*(;\s*charset="?utf-8"?\s*)?$/i

export interface Body<T> {
  readonly value: T
  /** Keyed hash of the received bytes. A body may name a person: an unkeyed hash could be guessed with a dictionary. */
  readonly hash: string
}

export async function readJson<T>(c: Ctx, schema: z.ZodMiniType<T>): Promise<Body<T>> {
  const type = JSON_TYPE.exec(c.req.header('Content-Type') ?? '')
  const isTaken = type && (type[1] === undefined || c.req.method === 'PATCH')
  if (!isTaken || c.req.header('Content-Encoding') !== undefined) throw new BrokerError('unsupported_media_type')
  const bytes = await readBytes(c.req.raw)
  if (bytes.byteLength === 0) throw malformed('body: must be JSON, and is empty')
  const json = parse(bytes)
  const result = schema.safeParse(json, { error: wordsForFormat })
  if (!result.success) throw new BrokerError('invalid_request', { detail: explain(result.error) })
  return { value: result.data, hash: await bodyHash(c, bytes) }
}

/** Whether the request's content type is that of a form. */
export const isForm = (c: Ctx): boolean => FORM_TYPE.test(c.req.header('Content-Type') ?? '')

/** The fields of a form, none of them repeated. Throws `invalid_request` for a field that is not in `names`. */
export async function readForm(c: Ctx, names: readonly string[]): Promise<URLSearchParams> {
  if (c.req.header('Content-Encoding') !== undefined) throw new BrokerError('unsupported_media_type')
  const form = new URLSearchParams(new TextDecoder().decode(await readBytes(c.req.raw)))
  for (const name of form.keys()) {
    if (!names.includes(name)) {
      throw malformed(`the form has an unknown field: only ${names.join(' and ')} are allowed`)
    }
    if (form.getAll(name).length > 1) throw malformed(`${name}: must not be repeated`)
  }
  return form
}

const bodyHash = (c: Ctx, bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  keyedDigest(c.get('config').rootKeys, { purpose: 'body-hash', tenant: '' }, bytes)

/** The body's bytes: at most 16 KiB within 5 s. Throws `too_large` or `invalid_request`. */
export async function readBytes(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  if (Number(request.headers.get('Content-Length') ?? 0) > MAX_BODY_BYTES) throw new BrokerError('too_large')
  const reader = request.body?.getReader()
  if (!reader) return new Uint8Array()
  try {
    return await within(BODY_DEADLINE_MS, readAll(reader), () => {
      throw malformed('body: must arrive within 5 s')
    })
  } catch (error) {
    void reader.cancel().catch(() => undefined)
    throw error instanceof BrokerError ? error : malformed('body: the connection broke before its end')
  }
}

async function readAll(reader: ReadableStreamDefaultReader<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(MAX_BODY_BYTES)
  let length = 0
  for (;;) {
    const part = await reader.read()
    if (part.done) return bytes.slice(0, length)
    if (length + part.value.byteLength > MAX_BODY_BYTES) throw new BrokerError('too_large')
    bytes.set(part.value, length)
    length += part.value.byteLength
  }
}

const PROBLEMS = {
  'not-json': 'body: must be JSON in UTF-8',
  'repeated-name': 'body: an object must not repeat a name',
  'too-deep': `body: must be nested at most ${MAX_DEPTH} deep`,
} as const

function parse(bytes: Uint8Array<ArrayBuffer>): unknown {
  const parsed = parseStrictJson(bytes, { maxDepth: MAX_DEPTH, ignoreBOM: true })
  if ('problem' in parsed) throw malformed(PROBLEMS[parsed.problem])
  return parsed.json
}

/** Describes the first violation by its path and rule. Must not repeat what the caller sent. */
function explain(error: z.core.$ZodError): string {
  const [issue] = error.issues
  if (!issue) return 'malformed'
  const place = issue.path.length > 0 ? `${issue.path.map(String).join('.')}: ` : ''
  return place + wordsFor(issue)
}

function wordsFor(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return 'has an unknown field'
    case 'invalid_type':
      return `must be present and of type ${issue.expected}`
    case 'too_big':
      return `must be at most ${issue.maximum}`
    case 'too_small':
      return `must be at least ${issue.minimum}`
    case 'invalid_value':
      return `must be one of: ${issue.values.map(String).join(', ')}`
    case 'custom':
    case 'invalid_format':
      return issue.message
    default:
      return 'is malformed'
  }
}

/** Words for a text of the wrong form where the contract's schema has none of its own. zod/mini brings no words. */
const wordsForFormat: z.core.$ZodErrorMap = (issue) => {
  if (issue.code !== 'invalid_format') return
  if (issue.format === 'regex') return `Invalid string: must match pattern ${issue.pattern}`
  return issue.format === 'datetime' ? 'Invalid ISO datetime' : undefined
}

export const malformed = (detail: string) => new BrokerError('invalid_request', { detail })
