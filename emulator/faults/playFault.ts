// Plays one fault on one request: alters the answer, or ends the request in a way no answer can. What only a socket can
// do goes through the Connection; without one (an emulator inside workerd) such a fault answers 501 and says so.

import type { Operation } from '../api/operations.ts'
import {
  type Answer,
  AUTHENTICATION_ERROR,
  empty,
  failure,
  html,
  KEY_NOT_FOUND,
  RATE_LIMITED,
  text,
  toResponse,
} from '../http/answer.ts'
import type { Connection } from '../http/connection.ts'
import type { World } from '../world/world.ts'
import { hugeStream, misshapen, withBody } from './brokenAnswers.ts'
import type { Fault } from './faults.ts'

const MS_PER_SECOND = 1_000
const SECONDS_PER_HOUR = 3_600
const DEFAULT_CODE = 1_000

export interface Scene {
  world: World
  operation: Operation
  uid: string
  bearer: string | null
  /** The right answer, or a sample of one while the operation has not run. */
  answer: Answer
  connection: Connection | null
}

/** null: the fault has passed and the request goes on as if nothing had been. */
export async function playFault(fault: Fault, scene: Scene): Promise<Response | null> {
  switch (fault.kind) {
    case 'status':
      return toResponse(statusAnswer(fault))
    case 'redirect':
      return toResponse({ ...empty(fault.status), headers: { location: fault.location } })
    case 'echo':
      return toResponse(
        failure(fault.status, AUTHENTICATION_ERROR, `Authentication error: Bearer ${scene.bearer ?? ''}`),
      )
    case 'rate-limit':
      return toResponse(rateLimitAnswer(fault, scene.world.realNowMs()))
    case 'shape':
      return shapeResponse(fault, scene)
    case 'drip':
      return dripResponse(scene.answer, fault.everyMs)
    case 'delay':
      await new Promise((resolve) => setTimeout(resolve, fault.ms))
      return null
    case 'hold':
      await scene.world.holds.hold({ id: fault.id, operation: scene.operation, uid: scene.uid, when: fault.when })
      return null
    case 'truncate':
      return fault.by === 'json' ? cutJson(scene.answer) : onSocket(fault, scene)
    case 'hang':
    case 'reset':
      return onSocket(fault, scene)
  }
}

type FaultOf<Kind extends Fault['kind']> = Extract<Fault, { kind: Kind }>

async function onSocket(fault: FaultOf<'hang' | 'reset' | 'truncate'>, scene: Scene): Promise<Response> {
  const { connection } = scene
  if (connection === null) return toResponse(text(501, `The fault "${fault.kind}" needs a server with real sockets`))
  const sendsHead = fault.kind === 'truncate' || fault.at === 'mid-body' || fault.at === 'mid-response'
  if (sendsHead) {
    const answer = withBody(scene.answer)
    const whole = new TextEncoder().encode(answer.body ?? '')
    const half = whole.subarray(0, Math.floor(whole.length / 2))
    await connection.sendPart(answer, { bytes: half, promisedBytes: whole.length })
  }
  if (fault.kind === 'hang') await connection.untilClosed()
  if (fault.kind === 'reset') connection.reset()
  if (fault.kind === 'truncate') connection.end()
  return connection.handled()
}

function statusAnswer(fault: FaultOf<'status'>): Answer {
  const answer = {
    cloudflare: () => failure(fault.status, fault.code ?? usualCode(fault.status), `Played status ${fault.status}`),
    html: () => html(fault.status),
    empty: () => empty(fault.status),
  }[fault.body]()
  return { ...answer, headers: { ...answer.headers, ...fault.headers } }
}

function usualCode(status: number): number {
  if (status === 401 || status === 403) return AUTHENTICATION_ERROR
  if (status === 404) return KEY_NOT_FOUND
  return status === 429 ? RATE_LIMITED : DEFAULT_CODE
}

function rateLimitAnswer({ dressing, seconds }: FaultOf<'rate-limit'>, nowMs: number): Answer {
  // An HTTP date has whole seconds: rounded up, so that it never promises too early.
  const dateMs = Math.ceil(nowMs / MS_PER_SECOND + seconds) * MS_PER_SECOND
  const headers: Record<typeof dressing, Record<string, string>> = {
    'retry-after-seconds': { 'retry-after': String(seconds) },
    'retry-after-date': { 'retry-after': new Date(dateMs).toUTCString() },
    'retry-after-hour': { 'retry-after': String(SECONDS_PER_HOUR) },
    'ratelimit-header': { ratelimit: `"default";r=0;t=${seconds}` },
    none: {},
  }
  const answer = failure(429, RATE_LIMITED, 'Rate limited')
  return { ...answer, headers: { ...answer.headers, ...headers[dressing] } }
}

function shapeResponse(fault: FaultOf<'shape'>, { answer, operation }: Scene): Response {
  if (fault.shape === 'huge-stream') {
    const { status, headers } = withBody(answer)
    return new Response(hugeStream(answer), { status: fault.status ?? status, headers })
  }
  const broken = misshapen(fault.shape, answer, operation)
  return toResponse({ ...broken, status: fault.status ?? broken.status })
}

function cutJson(answer: Answer): Response {
  const whole = withBody(answer)
  return toResponse({ ...whole, body: whole.body?.slice(0, Math.floor(whole.body.length / 2)) ?? null })
}

function dripResponse(answer: Answer, everyMs: number): Response {
  const whole = withBody(answer)
  const bytes = new TextEncoder().encode(whole.body ?? '')
  let sentBytes = 0
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      await new Promise((resolve) => setTimeout(resolve, everyMs))
      controller.enqueue(bytes.subarray(sentBytes, sentBytes + 1))
      sentBytes += 1
      if (sentBytes >= bytes.length) controller.close()
    },
  })
  const headers = { ...whole.headers, 'content-length': String(bytes.length) }
  return new Response(body, { status: whole.status, headers })
}
