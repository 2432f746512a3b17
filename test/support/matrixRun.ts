/** A wish's part of the matrix, played once for all tests that look at it; how much was played is printed by the reporter. */

import { env } from 'cloudflare:workers'
import { expect, type TestContext } from 'vitest'
import { type Played, play } from './matrix.ts'
import type { WishName } from './wishes.ts'

declare module 'vitest' {
  interface TaskMeta {
    /** Read by scripts/plain-summary.ts. */
    matrix?: string
  }
}

const everyAwait = env.MATRIX_EVERY_AWAIT !== ''

/** Long enough for a machine that has much else to do. */
export const MATRIX_TIMEOUT_MS = everyAwait ? 3_600_000 : 240_000

export function playedOnce(wish: WishName) {
  let played: Promise<Played> | undefined
  const once = (): Promise<Played> => {
    played ??= play(wish, { everyAwait, only: env.MATRIX_CELL })
    return played
  }
  return {
    async expectNothingLost({ task }: TestContext): Promise<void> {
      const { left, cells, points, crashes } = await once()
      task.meta.matrix = `${wish}: ${cells} cells, ${points} crash points, ${crashes} crashes played`
      expect(left).toEqual([])
    },
    async expectAnswered(): Promise<void> {
      expect((await once()).answers).toEqual([])
    },
  }
}
