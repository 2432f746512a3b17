// What can be made to go wrong, as one schema, and the queue of faults ordered through the control routes. Says which
// fault is due; how one is played is in playFault.ts.
import * as z from 'zod'
import { Operation } from '../api/operations.ts'

const MAX_WAIT_MS = 60_000

/** Whether the operation's effect happens although the caller sees a failure: `after` is the lost answer. */
const lostAnswer = z.enum(['before', 'after']).default('after')
const refusal = z.enum(['before', 'after']).default('before')

export const Shape = z.enum([
  'success-false',
  'html',
  'empty',
  'no-content',
  'missing-key',
  'short-key',
  'foreign-uid',
  'wrong-types',
  'wrong-result',
  'huge',
  'huge-stream',
  'deep',
])
export type Shape = z.infer<typeof Shape>

/** How a 429 says how long to wait. */
export const Dressing = z.enum([
  'retry-after-seconds',
  'retry-after-date',
  'retry-after-hour',
  'ratelimit-header',
  'none',
])

export const Fault = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('status'),
    status: z.int().min(200).max(599),
    body: z.enum(['cloudflare', 'html', 'empty']).default('cloudflare'),
    /** Error code in the envelope. */
    code: z.int().optional(),
    headers: z.record(z.string(), z.string()).default({}),
    when: refusal,
  }),
  z.strictObject({ kind: z.literal('delay'), ms: z.int().min(0).max(MAX_WAIT_MS), when: lostAnswer }),
  z.strictObject({
    kind: z.literal('hang'),
    at: z.enum(['before-headers', 'mid-body']).default('before-headers'),
    when: lostAnswer,
  }),
  z.strictObject({ kind: z.literal('drip'), everyMs: z.int().min(0).max(MAX_WAIT_MS), when: lostAnswer }),
  z.strictObject({
    kind: z.literal('reset'),
    /** `before-body`: the effect cannot have happened, `when` does not count. */
    at: z.enum(['before-body', 'after-body', 'mid-response']).default('after-body'),
    when: lostAnswer,
  }),
  z.strictObject({
    kind: z.literal('truncate'),
    by: z.enum(['content-length', 'json']).default('content-length'),
    when: lostAnswer,
  }),
  z.strictObject({
    kind: z.literal('shape'),
    shape: Shape,
    /** In place of the status this shape comes with. */
    status: z.int().min(200).max(599).optional(),
    when: lostAnswer,
  }),
  z.strictObject({
    kind: z.literal('redirect'),
    status: z.literal([301, 302, 303, 307, 308]).default(307),
    location: z.string().min(1),
    when: refusal,
  }),
  z.strictObject({ kind: z.literal('echo'), status: z.literal([401, 403]).default(401), when: refusal }),
  z.strictObject({
    kind: z.literal('rate-limit'),
    dressing: Dressing.default('retry-after-seconds'),
    seconds: z.int().min(0).default(2),
    when: refusal,
  }),
  z.strictObject({ kind: z.literal('hold'), id: z.string().min(1), when: refusal }),
])
export type Fault = z.infer<typeof Fault>

export const FaultOrder = z.strictObject({
  operation: z.union([Operation, z.literal('*')]),
  fault: Fault,
  times: z.union([z.int().min(1), z.literal('always')]).default(1),
  /** Play on every n-th matching request only: 10 is one in ten, starting with the tenth. */
  every: z.int().min(1).default(1),
  /** Only requests that name this TURN key. */
  uid: z.string().optional(),
  /** Only requests that come within this time. */
  forMs: z.int().min(1).optional(),
})
export type FaultOrder = z.infer<typeof FaultOrder>
export type FaultOrderInput = z.input<typeof FaultOrder>

export class FaultQueue {
  #orders: (FaultOrder & { seen: number; played: number; endsMs: number })[] = []

  add(order: FaultOrder, nowMs: number): void {
    const endsMs = order.forMs === undefined ? Number.POSITIVE_INFINITY : nowMs + order.forMs
    this.#orders.push({ ...order, seen: 0, played: 0, endsMs })
  }

  /** The fault to play on this request: that of the oldest order that is due; younger orders wait their turn. */
  take({ operation, uid, nowMs }: { operation: Operation; uid: string; nowMs: number }): Fault | null {
    this.#orders = this.#orders.filter(({ endsMs }) => nowMs < endsMs)
    for (const order of this.#orders) {
      if (order.operation !== '*' && order.operation !== operation) continue
      if (order.uid !== undefined && order.uid !== uid) continue
      order.seen += 1
      if (order.seen % order.every !== 0) continue
      order.played += 1
      if (order.played === order.times) this.#orders = this.#orders.filter((each) => each !== order)
      return order.fault
    }
    return null
  }

  clear(): void {
    this.#orders = []
  }
}
