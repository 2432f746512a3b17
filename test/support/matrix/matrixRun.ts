/** A scenario's part of the matrix, played once for all tests that look at it; how much was played is printed by the reporter. */

import { env } from 'cloudflare:workers'
import { expect, type TestContext } from 'vitest'
import { ERRORS } from '../../../src/errors.ts'
import { HANG_UPS } from './faultTable.ts'
import { outcomesOf, type Played, play } from './matrix.ts'
import { SCENARIOS, type ScenarioName } from './scenarios.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** Read by scripts/plain-summary.ts. */
    matrix?: string
  }
}

const everyAwait = env.MATRIX_EVERY_AWAIT !== ''
/** The name of the one cell to play; empty: all of them. */
const only = env.MATRIX_CELL

/** Long enough for a machine that has much else to do. */
export const MATRIX_TIMEOUT_MS = everyAwait ? 3_600_000 : 240_000

/** `broker_busy`: whether Cloudflare minted is unknown, and the caller is no longer there to read it. */
const GONE = `503 ${ERRORS.broker_busy.cloudflareCode}`

const isCellOf = (scenario: string) => only.startsWith(`${scenario}, `)

export function playedOnce(scenario: ScenarioName) {
  let played: Promise<Played> | undefined
  const once = (): Promise<Played> => {
    played ??= play(scenario, { everyAwait, only })
    return played
  }
  /** A cell of another scenario was asked for. A cell of no scenario at all is a mistake, which every test reports. */
  function skipWhereAnotherIsAskedFor({ skip }: TestContext): void {
    if (only === '' || isCellOf(scenario)) return
    expect(Object.keys(SCENARIOS).filter(isCellOf), `MATRIX_CELL names no scenario: ${only}`).toHaveLength(1)
    skip(`MATRIX_CELL asks for another scenario than ${scenario}`)
  }
  return {
    async expectNothingLost(context: TestContext): Promise<void> {
      skipWhereAnotherIsAskedFor(context)
      const { left, cells, points, crashes, lent, played: names } = await once()
      const over = lent > 0 ? `, ${lent} calls over a lent connection` : ''
      context.task.meta.matrix = `${scenario}: ${cells} cells, ${points} crash points, ${crashes} crashes played${over}`
      expect(left).toEqual([])
      expect(
        names.length,
        only === '' ? `${scenario} has no cell` : `MATRIX_CELL names no cell: ${only}`,
      ).toBeGreaterThan(0)
      // Without these the matrix would pass while scripts/crash-points.ts names no await at all.
      expect(points, 'await points that were seen').toBeGreaterThan(0)
      if (only === '' || only.includes(', dies ')) expect(crashes, 'crashes that were played').toBeGreaterThan(0)
    },
    /** That every fault ends as it does for another scenario. */
    async expectOutcomesOf(other: ScenarioName, context: TestContext): Promise<void> {
      if (only !== '') context.skip('MATRIX_CELL asks for one cell')
      const { outcomes } = await once()
      const expected = await outcomesOf(other)
      expect(new Set(Object.values(expected)).size, 'different outcomes').toBeGreaterThan(3)
      expect(outcomes).toEqual({ ...expected, ...Object.fromEntries(HANG_UPS.map(({ name }) => [name, GONE])) })
    },
    async expectAnswered(context: TestContext): Promise<void> {
      skipWhereAnotherIsAskedFor(context)
      expect((await once()).answers).toEqual([])
    },
  }
}
