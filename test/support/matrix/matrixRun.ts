/** A wish's part of the matrix, played once for all tests that look at it; how much was played is printed by the reporter. */

import { env } from 'cloudflare:workers'
import { expect, type TestContext } from 'vitest'
import { type Played, play } from './matrix.ts'
import { WISHES, type WishName } from './wishes.ts'

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

const isCellOf = (wish: string) => only.startsWith(`${wish}, `)

export function playedOnce(wish: WishName) {
  let played: Promise<Played> | undefined
  const once = (): Promise<Played> => {
    played ??= play(wish, { everyAwait, only })
    return played
  }
  /** A cell of another wish was asked for. A cell of no wish at all is a mistake, which every test reports. */
  function skipWhereAnotherIsAskedFor({ skip }: TestContext): void {
    if (only === '' || isCellOf(wish)) return
    expect(Object.keys(WISHES).filter(isCellOf), `MATRIX_CELL names no wish: ${only}`).toHaveLength(1)
    skip(`MATRIX_CELL asks for another wish than ${wish}`)
  }
  return {
    async expectNothingLost(context: TestContext): Promise<void> {
      skipWhereAnotherIsAskedFor(context)
      const { left, cells, points, crashes, played: names } = await once()
      context.task.meta.matrix = `${wish}: ${cells} cells, ${points} crash points, ${crashes} crashes played`
      expect(left).toEqual([])
      expect(names.length, only === '' ? `${wish} has no cell` : `MATRIX_CELL names no cell: ${only}`).toBeGreaterThan(
        0,
      )
      // Without these the matrix would pass while scripts/crash-points.ts names no await at all.
      expect(points, 'await points that were seen').toBeGreaterThan(0)
      if (only === '' || only.includes(', dies ')) expect(crashes, 'crashes that were played').toBeGreaterThan(0)
    },
    async expectAnswered(context: TestContext): Promise<void> {
      skipWhereAnotherIsAskedFor(context)
      expect((await once()).answers).toEqual([])
    },
  }
}
