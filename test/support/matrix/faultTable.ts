/** Every fault that upstream and the network can play, by name: each row of the matrix. */

import type { FaultOrderInput } from '../../../emulator/client.ts'
import { Dressing, Shape } from '../../../emulator/faults/faults.ts'

type Fault = FaultOrderInput['fault']

export interface FaultRow {
  readonly name: string
  /** `refused`: no connection comes about. `hang-up …`: the caller who lent its connection is gone. */
  readonly fault: Fault | 'refused' | 'none' | 'hang-up before' | 'hang-up after'
  /** 1 and 2 stand beside `always` where we ask again. */
  readonly times: number | 'always'
  /** Upstream says nothing until our deadline. */
  readonly silence: boolean
  /** Whether the operation took effect: `after` is a lost answer. */
  readonly effect: boolean
}

const row = (name: string, fault: Fault, times: FaultRow['times'] = 'always'): FaultRow => ({
  name,
  fault,
  times,
  silence: fault.kind === 'hang' || (fault.kind === 'drip' && fault.everyMs > 0),
  effect: 'when' in fault ? fault.when === 'after' : !['status', 'redirect', 'echo', 'rate-limit'].includes(fault.kind),
})

export const NO_FAULT: FaultRow = { name: 'no fault', fault: 'none', times: 1, silence: false, effect: true }

const failing = [500, 502, 503, 520].flatMap((status) =>
  ([1, 2, 'always'] as const).flatMap((times) => {
    const often = { 1: 'once', 2: 'twice', always: 'always' }[times]
    return [
      row(`${status} ${often}, and nothing happened`, { kind: 'status', status }, times),
      row(`${status} ${often}, and it happened`, { kind: 'status', status, when: 'after' }, times),
    ]
  }),
)
const refusing = [400, 401, 403, 404, 409, 422].map((status) => row(`${status}`, { kind: 'status', status }))
const odd = [
  row('500 as HTML', { kind: 'status', status: 500, body: 'html', when: 'after' }),
  row('503 without a body', { kind: 'status', status: 503, body: 'empty', when: 'after' }),
  row('408', { kind: 'status', status: 408, when: 'after' }),
  row('200 with a failure', { kind: 'status', status: 200, when: 'after' }),
  row('304', { kind: 'status', status: 304, body: 'empty', when: 'after' }),
  row('404 as HTML', { kind: 'status', status: 404, body: 'html' }),
  row('404 for the route', { kind: 'status', status: 404, code: 7003 }),
  row('401 that repeats the token', { kind: 'echo', status: 401 }),
  row('403 that repeats the token', { kind: 'echo', status: 403 }),
]
const dressings = Dressing.options
const limiting = dressings.map((dressing) => row(`429, ${dressing}`, { kind: 'rate-limit', dressing }))
const shapes = Shape.options
const misshapen = shapes.map((shape) => row(`shape ${shape}`, { kind: 'shape', shape }))
const redirecting = ([301, 302, 303, 307, 308] as const).map((status) =>
  row(`${status} to a twin`, { kind: 'redirect', status, location: '/client/v4/elsewhere' }),
)
const breaking = [
  { name: 'refused', fault: 'refused', times: 'always', silence: false, effect: false } as const,
  row('reset before the body', { kind: 'reset', at: 'before-body', when: 'before' }),
  row('reset, and nothing happened', { kind: 'reset', at: 'after-body', when: 'before' }),
  row('reset, and it happened', { kind: 'reset', at: 'after-body', when: 'after' }),
  row('reset within the answer', { kind: 'reset', at: 'mid-response' }),
  row('cut short of its length', { kind: 'truncate', by: 'content-length' }),
  row('half its JSON', { kind: 'truncate', by: 'json' }),
]
const slow = [
  row('a slow drip that is right', { kind: 'drip', everyMs: 0 }, 1),
  row('late, and right', { kind: 'delay', ms: 10 }, 1),
  row('silence before the headers', { kind: 'hang', at: 'before-headers' }),
  row('silence before anything happened', { kind: 'hang', at: 'before-headers', when: 'before' }),
  row('silence within the body', { kind: 'hang', at: 'mid-body' }),
  row('a drip for an hour', { kind: 'drip', everyMs: 15_000 }),
]

export const FAULTS: readonly FaultRow[] = [
  ...failing,
  ...refusing,
  ...odd,
  ...limiting,
  ...misshapen,
  ...redirecting,
  ...breaking,
  ...slow,
]

/** What befalls a lent connection only: its caller hangs up before Cloudflare is asked, or when it has answered. */
export const HANG_UPS: readonly FaultRow[] = [
  { name: 'a hang-up, and nothing happened', fault: 'hang-up before', times: 'always', silence: false, effect: false },
  { name: 'a hang-up, and it happened', fault: 'hang-up after', times: 'always', silence: false, effect: true },
]

/** One of each kind, as the broker tells them apart. */
export const KINDS: readonly FaultRow[] = FAULTS.filter(({ name }) =>
  [
    '500 always, and nothing happened',
    '500 always, and it happened',
    '400',
    '404',
    '404 as HTML',
    '429, none',
    'shape html',
    'shape foreign-uid',
    'shape no-content',
    '307 to a twin',
    'refused',
    'reset within the answer',
    'silence before the headers',
  ].includes(name),
)
