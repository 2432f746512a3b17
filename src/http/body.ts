/** Reads a request's body, bounded in bytes and time. JSON must be UTF-8, have no repeated names and fit its schema. */
import type * as z from 'zod/mini'
import { within } from '../concurrency/deadline.ts'
import { parseStrictForm } from '../contract/strictForm.ts'
import { parseStrictJson } from '../contract/strictJson.ts'
import { keyedDigest } from '../crypto/mac.ts'
import { BrokerError } from '../errors.ts'
import type { Ctx } from './context.ts'

export const MAX_BODY_BYTES = 16_384
/** Where the body may hold a token of 16 KiB: at the browser door, and in the check of a token. */
export const MAX_TOKEN_BODY_BYTES = 32_768
export const BODY_DEADLINE_MS = 5_000
const MAX_DEPTH = 16

const UTF8 = '\\s*(;\\s*charset="?utf-8"?\\s*)?$'
const MEDIA_TYPES = {
  'application/json': new RegExp(`^application/json${UTF8}`, 'i'),
  'application/merge-patch+json': new RegExp(`^application/merge-patch\\+json${UTF8}`, 'i'),
  'text/plain': new RegExp(`^text/plain${UTF8}`, 'i'),
  'application/x-www-form-urlencoded': /^application\/x-www-form-urlencoded\s*(;|$)/i,
} as const
export type MediaType = keyof typeof MEDIA_TYPES
const JSON_TYPES = ['application/json'] as const
const PATCH_TYPES = [...JSON_TYPES, 'application/merge-patch+json'] as const

export interface Body<T> {
  readonly value: T
  /** Keyed hash of the received bytes. A body may name a person: an unkeyed hash could be guessed with a dictionary. */
  readonly hash: string
}

/** Which of the route's media types the body has. Throws `unsupported_media_type`, which names all of them. */
export function mediaTypeOf(c: Ctx, taken: readonly MediaType[]): MediaType {
  const sent = c.req.header('Content-Type') ?? ''
  const found = taken.find((type) => MEDIA_TYPES[type].test(sent))
  if (found) return found
  const detail = `Content-Type: must be ${taken.join(' or ').replace('text/plain', 'text/plain with JSON')}, in UTF-8`
  throw new BrokerError('unsupported_media_type', { detail })
}

/** JSON that is announced as JSON. */
export async function readJson<T>(
  c: Ctx,
  schema: z.ZodMiniType<T>,
  maxBytes: number = MAX_BODY_BYTES,
): Promise<Body<T>> {
  mediaTypeOf(c, c.req.method === 'PATCH' ? PATCH_TYPES : JSON_TYPES)
  const bytes = await readBytes(c, maxBytes)
  if (bytes.byteLength === 0) throw malformed('body: must be JSON, and is empty')
  return fitted(c, schema, bytes)
}

/** JSON, whatever its content type says, as Cloudflare takes it. An empty body is an empty object. */
export async function readAnyJson<T>(
  c: Ctx,
  schema: z.ZodMiniType<T>,
  maxBytes: number = MAX_BODY_BYTES,
): Promise<Body<T>> {
  return fitted(c, schema, await readBytes(c, maxBytes))
}

/** The fields of a form, none of them repeated. Throws `invalid_request` for a field that is not in `names`. */
export async function readForm(
  c: Ctx,
  names: readonly string[],
  maxBytes: number = MAX_BODY_BYTES,
): Promise<Record<string, string>> {
  const form = parseStrictForm(await readBytes(c, maxBytes))
  if ('problem' in form) throw malformed(form.problem)
  for (const name of form.fields.keys()) if (!names.includes(name)) throw unknownField(name)
  return Object.fromEntries(form.fields)
}

async function fitted<T>(c: Ctx, schema: z.ZodMiniType<T>, bytes: Uint8Array<ArrayBuffer>): Promise<Body<T>> {
  const json = bytes.byteLength === 0 ? {} : parse(bytes)
  const result = schema.safeParse(json, { error: wordsForFormat })
  if (!result.success) throw malformed(explain(result.error))
  return { value: result.data, hash: await bodyHash(c, bytes) }
}

const bodyHash = (c: Ctx, bytes: Uint8Array<ArrayBuffer>): Promise<string> =>
  keyedDigest(c.get('config').rootKeys, { purpose: 'body-hash', tenant: '' }, bytes)

/**
 * The body's bytes, at most that many, within 5 s. Throws `too_large`, `invalid_request`, or `unsupported_media_type` if they
 * are compressed.
 */
async function readBytes(c: Ctx, maxBytes: number): Promise<Uint8Array<ArrayBuffer>> {
  if (c.req.header('Content-Encoding') !== undefined)
    throw new BrokerError('unsupported_media_type', {
      detail: 'Content-Encoding: must be absent; send the body as it is',
    })
  if (Number(c.req.header('Content-Length') ?? 0) > maxBytes) throw tooLarge(maxBytes)
  const reader = c.req.raw.body?.getReader()
  if (!reader) return new Uint8Array()
  try {
    return await within(BODY_DEADLINE_MS, readAll(reader, maxBytes), () => {
      throw malformed('body: must arrive within 5 s')
    })
  } catch (error) {
    void reader.cancel().catch(() => undefined)
    throw error instanceof BrokerError ? error : malformed('body: the connection broke before its end')
  }
}

async function readAll(
  reader: ReadableStreamDefaultReader<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(maxBytes)
  let length = 0
  for (;;) {
    const part = await reader.read()
    if (part.done) return bytes.slice(0, length)
    if (length + part.value.byteLength > maxBytes) throw tooLarge(maxBytes)
    bytes.set(part.value, length)
    length += part.value.byteLength
  }
}

const tooLarge = (maxBytes: number) =>
  new BrokerError('too_large', { detail: `body: must have at most ${maxBytes / 1_024} KiB` })

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

/** Describes the first violation by its path and rule. Must not repeat a value that the caller sent. */
function explain(error: z.core.$ZodError): string {
  const [issue] = error.issues
  if (!issue) return 'malformed'
  const path = issue.code === 'unrecognized_keys' ? [...issue.path, ...issue.keys.slice(0, 1)] : issue.path
  const place = path.length > 0 ? `${path.map(shownName).join('.')}: ` : ''
  return place + wordsFor(issue)
}

/**
 * A name that the caller sent, for an error. Hidden if it is not printable, or may be a secret in the wrong place: secrets
 * are longer.
 */
export const shownName = (name: PropertyKey): string => {
  const text = String(name) || '""'
  return /^(?=[\x20-\x7e]{1,31}$)(?!(.*\d){5})/.test(text) ? text : '(a name that is not shown)'
}

const unknownField = (name: string) => malformed(`${shownName(name)}: ${UNKNOWN_FIELD}`)
const UNKNOWN_FIELD = 'is not a known field'

function wordsFor(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case 'unrecognized_keys':
      return UNKNOWN_FIELD
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
