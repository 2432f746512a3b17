// Answers that are wrong in a chosen way: pure functions from a right answer to a broken one, and a right one to break
// when the operation did not run.

import { randomHex } from '../api/hex.ts'
import { iceServersBody } from '../api/iceServers.ts'
import type { Operation } from '../api/operations.ts'
import { type Answer, empty, failure, html, json, success } from '../http/answer.ts'
import { Settings } from '../world/settings.ts'
import type { Shape } from './faults.ts'

const HUGE_CHARACTERS = 8 * 1_024 * 1_024
const STREAM_PIECE_CHARACTERS = 64 * 1_024
const DEEP_LEVELS = 100_000
const SHORT_SECRET = 'abc'

const RESULT_FIELDS = new Set(['result', 'iceServers'])

/** The field whose loss makes the answer useless. */
const VITAL_FIELD: Record<Operation, string> = {
  list: 'uid',
  create: 'key',
  get: 'uid',
  update: 'uid',
  delete: 'uid',
  'generate-ice-servers': 'credential',
  generate: 'credential',
  revoke: 'uid',
}

/** A well-formed answer of this operation that belongs to nothing. */
export function sampleAnswer(operation: Operation): Answer {
  const at = '2026-01-01T00:00:00.000Z'
  const key = { created: at, modified: at, name: '', uid: randomHex(32) }
  const login = { username: randomHex(96), credential: randomHex(96) }
  switch (operation) {
    case 'list':
      return success(200, [key])
    case 'create':
      return success(201, { ...key, key: randomHex(64) })
    case 'get':
    case 'update':
    case 'delete':
      return success(200, key)
    case 'generate':
    case 'generate-ice-servers':
      return json(201, iceServersBody(operation, login, { settings: Settings.parse({}), own: null }))
    case 'revoke':
      return empty(204)
  }
}

/** The answer, or for one without a body a body to do harm to. */
export function withBody(answer: Answer): Answer {
  return answer.body === null ? success(200, { uid: randomHex(32) }) : answer
}

export function misshapen(shape: Exclude<Shape, 'huge-stream'>, answer: Answer, operation: Operation): Answer {
  switch (shape) {
    case 'success-false':
      return failure(200, 1_000, 'Something went wrong')
    case 'html':
      return html(200)
    case 'empty':
      return empty(200)
    case 'no-content':
      return empty(204)
    case 'missing-key':
      return mapFields(answer, (name, value) => (name === VITAL_FIELD[operation] ? undefined : value))
    case 'short-key':
      return mapFields(answer, (name, value) => (name === VITAL_FIELD[operation] ? SHORT_SECRET : value))
    case 'foreign-uid':
      return mapFields(answer, (name, value) => (name === 'uid' || name === 'username' ? sameLengthHex(value) : value))
    case 'wrong-types':
      return mapFields(answer, (_name, value) => (typeof value === 'string' ? 42 : value))
    case 'wrong-result':
      return mapFields(answer, (name, value) => (RESULT_FIELDS.has(name) ? 'not what it should be' : value))
    case 'huge':
      return { ...withBody(answer), body: `${withBody(answer).body}${' '.repeat(HUGE_CHARACTERS)}` }
    case 'deep':
      return { ...json(answer.status, null), body: `${'['.repeat(DEEP_LEVELS)}${']'.repeat(DEEP_LEVELS)}` }
  }
}

/** `huge` in pieces and without a length declared beforehand: a reader that sets itself no limit gets a right answer. */
export function hugeStream(answer: Answer): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  const padding = encoder.encode(' '.repeat(STREAM_PIECE_CHARACTERS))
  let charactersLeft = HUGE_CHARACTERS
  return new ReadableStream({
    start: (controller) => controller.enqueue(encoder.encode(withBody(answer).body ?? '')),
    pull(controller) {
      controller.enqueue(padding)
      charactersLeft -= STREAM_PIECE_CHARACTERS
      if (charactersLeft <= 0) controller.close()
    },
  })
}

/** Passes every property, at any depth, through `change`. A refusal in plain text has none and stays as it is. */
function mapFields(answer: Answer, change: (name: string, value: unknown) => unknown): Answer {
  const right = withBody(answer)
  if (right.headers['content-type'] !== 'application/json') return right
  return { ...right, body: JSON.stringify(JSON.parse(right.body ?? 'null', (name, value) => change(name, value))) }
}

function sameLengthHex(value: unknown): unknown {
  return typeof value === 'string' ? randomHex(value.length) : value
}
