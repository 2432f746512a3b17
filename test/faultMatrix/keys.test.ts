/** The fault matrix for what callers ask about TURN keys. CONTRIBUTING.md explains it. */
import { describe, it } from 'vitest'
import { MATRIX_TIMEOUT_MS, playedOnce } from '../support/matrix/matrixRun.ts'

describe.each(['a creation', 'the proof of a created key', 'a look-up', 'a rename'] as const)(
  '%s, under every fault and with a crash at every await',
  (scenario) => {
    const played = playedOnce(scenario)
    it(
      `G5: After ${scenario} under faults and crashes one usable key is left at most, no orphan, no secret lost or shown`,
      played.expectNothingLost,
      MATRIX_TIMEOUT_MS,
    )
    it(
      `G11: Every answer to ${scenario} under faults and crashes comes in time and from the error table`,
      played.expectAnswered,
      MATRIX_TIMEOUT_MS,
    )
  },
)
