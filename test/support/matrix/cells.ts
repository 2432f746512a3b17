/** Which cells of the fault matrix a scenario has: every fault, and a crash at every await that is like no other. */
import type { Answer } from '../broker/answer.ts'
import { nameOf, type Point, pointsOf, type Run, waysTo } from './crashes.ts'
import { FAULTS, type FaultRow, HANG_UPS, KINDS, NO_FAULT } from './faultTable.ts'
import type { Scenario, Thing } from './scenarioSteps.ts'
import type { ScenarioName } from './scenarios.ts'

export interface Cell {
  readonly fault: FaultRow
  readonly point: Point | undefined
}

export interface Done {
  readonly cell: Cell
  readonly thing: Thing
  readonly run: Run<Answer | undefined>
  /** Calls over a lent connection. */
  readonly lent: number
  readonly outcome: string
  again?: Answer | undefined
}

export const cellName = (scenario: ScenarioName, { fault, point }: Cell): string =>
  `${scenario}, ${fault.name}${point ? `, dies ${nameOf(point)}` : ''}`

/** The faults that are played on a scenario, and none. */
export const faultsOf = (scenario: Scenario): FaultRow[] =>
  [NO_FAULT, ...(scenario.kindsOnly ? KINDS : FAULTS), ...(scenario.lent ? HANG_UPS : [])].filter((fault) =>
    isAnother(scenario, fault),
  )

/** Once, twice and always are the same where upstream is asked once. */
function isAnother({ asksAgain }: Scenario, { fault, times }: FaultRow): boolean {
  if (typeof fault !== 'object' || fault.kind !== 'status' || times === 'always') return true
  return asksAgain === 'in the call' || (asksAgain === 'by its job' && times === 2)
}

/** The crashes of the ways that were gone without one. */
export function crashCells(done: readonly Done[], distinct: boolean): Cell[] {
  const seen = new Set<string>()
  return done.flatMap(({ cell, run, outcome }) => {
    const ways = waysTo(run.events)
    const asked = run.events.findIndex((event) => event.includes('cloudflare/exchange'))
    return pointsOf(run.events, { distinct }).flatMap((point) => {
      const at = run.events.indexOf(nameOf(point))
      const way = `${ways[at]} ${at > asked ? `${cell.fault.effect} ${outcome}` : ''}`
      if (distinct && seen.has(way)) return []
      seen.add(way)
      return [{ fault: cell.fault, point }]
    })
  })
}
