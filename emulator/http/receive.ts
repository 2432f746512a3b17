// The way of one API request through the emulator: logged, counted, hit by a fault before or after it took effect, or
// simply answered. Decides the order of these; the rules are in the files it calls.

import { credentialOperation } from '../api/credentials.ts'
import { isKeyOperation, type Operation } from '../api/operations.ts'
import { keyOperation } from '../api/turnKeys.ts'
import { sampleAnswer } from '../faults/brokenAnswers.ts'
import { playFault } from '../faults/playFault.ts'
import type { Call, World } from '../world/world.ts'
import { type Answer, failure, text, toResponse } from './answer.ts'
import { type Connection, HANDLED_HEADER } from './connection.ts'
import type { LogEntry } from './requestLog.ts'

export interface Arrival {
  operation: Operation
  method: string
  path: string
  params: Pick<Call, 'account' | 'uid' | 'username'>
  authorization: string | undefined
  /** Not called when the connection is to be reset before the body was read. */
  readBody: () => Promise<string>
  connection: Connection | null
}

/**
 * 1. Log the arrival. 2. Count it against the rate limit. 3. Take the fault that is due. 4. Read the body. 5. Play a
 * fault of `before`. 6. Run the operation. 7. Play a fault of `after`. 8. Answer.
 */
export async function receive(world: World, arrival: Arrival): Promise<Response> {
  const { operation, connection, params } = arrival
  const { epoch } = world
  const entry = world.log.open({ ...arrival, atMs: world.realNowMs() })
  const rate = world.rate.take(isKeyOperation(operation) ? world.settings.rateLimit : null, world.nowMs())
  const due = { operation, uid: params.uid, nowMs: world.realNowMs() }
  const fault = rate.refusal === null ? world.faults.take(due) : null
  entry.fault = fault?.kind ?? null
  const bearer = bearerOf(arrival.authorization)
  entry.bearerSha256 = bearer === null ? null : await world.bearerHashes.hexOf(bearer)
  if (rate.refusal !== null) return answered(entry, toResponse(rate.refusal))

  const scene = { world, operation, uid: params.uid, bearer, connection }
  const unread = fault?.kind === 'reset' && fault.at === 'before-body'
  const body = unread ? '' : await arrival.readBody().catch(() => null)
  if (body === null) return answered(entry, toResponse(text(400, 'The client left before the body was complete')))
  entry.body = parsed(body)
  if (fault !== null && (unread || fault.when === 'before')) {
    const played = await playFault(fault, { ...scene, answer: sampleAnswer(operation) })
    if (played !== null) return answered(entry, played)
  }
  if (epoch !== world.epoch) return answered(entry, toResponse(wasReset()))

  const answer = run(world, operation, { ...params, bearer, body: entry.body })
  Object.assign(answer.headers, rate.headers)
  entry.effect = answer.status < 400
  if (fault?.when === 'after') {
    const played = await playFault(fault, { ...scene, answer })
    if (played !== null) return answered(entry, played)
  }
  return answered(entry, toResponse(answer))
}

function run(world: World, operation: Operation, call: Call): Answer {
  return isKeyOperation(operation) ? keyOperation(operation, world, call) : credentialOperation(operation, world, call)
}

function answered(entry: LogEntry, response: Response): Response {
  entry.status = response.headers.has(HANDLED_HEADER) ? null : response.status
  return response
}

function bearerOf(authorization: string | undefined): string | null {
  return authorization?.match(/^Bearer +(\S+)$/i)?.[1] ?? null
}

function parsed(body: string): unknown {
  if (body === '') return null
  try {
    return JSON.parse(body)
  } catch {
    return body
  }
}

function wasReset(): Answer {
  return failure(503, 1_000, 'The emulator was reset while this request waited')
}
