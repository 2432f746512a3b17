/** What the fault matrix does not ask: each entry with its reason. It is to go when its reason has gone. */

import type { Point } from './crashes.ts'
import type { FaultRow } from './faultTable.ts'
import type { ScenarioName } from './scenarios.ts'

/** Lies that no caller can be spared: what was answered is not checked, what is left is. */
const KNOWN: readonly { readonly scenario: ScenarioName; readonly fault: string; readonly why: string }[] = []

/** Cells, and places of a crash, that fail for a reason that is known: each is to go when its reason has gone. */
const LEFT_OUT: readonly {
  readonly scenario?: ScenarioName
  readonly fault?: string
  readonly place?: RegExp
  readonly why: string
}[] = []
export const isLeftOut = (
  scenario: ScenarioName,
  { fault, point }: { readonly fault: FaultRow; readonly point: Point | undefined },
): boolean =>
  LEFT_OUT.some((out) =>
    out.place
      ? point !== undefined && out.place.test(point.place)
      : out.scenario === scenario && out.fault === fault.name,
  )

/** Whether the answers under this fault are known to be wrong, and not asked about. */
export const isKnownLie = (scenario: ScenarioName, { name }: FaultRow): boolean =>
  KNOWN.some((known) => known.scenario === scenario && known.fault === name)
