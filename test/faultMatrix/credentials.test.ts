/** The fault matrix for credentials. */
import { describe, it } from 'vitest'
import { MATRIX_TIMEOUT_MS, playedOnce } from '../support/matrix/matrixRun.ts'

describe.each(['a mint', 'a revocation', 'a revocation carried on'] as const)(
  '%s, under every fault and with a crash at every await',
  (wish) => {
    const played = playedOnce(wish)
    it('G5: one usable key at most, no orphan, no secret lost or shown', played.expectNothingLost, MATRIX_TIMEOUT_MS)
    it('G11: every answer in time and from the table', played.expectAnswered, MATRIX_TIMEOUT_MS)
  },
)
