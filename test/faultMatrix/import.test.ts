/** The fault matrix for import. */
import { describe, it } from 'vitest'
import { MATRIX_TIMEOUT_MS, playedOnce } from '../support/matrix/matrixRun.ts'

describe.each(['an import', 'the proof of an imported key'] as const)(
  '%s, under every kind of fault and with a crash at every await',
  (wish) => {
    const played = playedOnce(wish)
    it('G5: one usable key at most, no orphan, no secret lost or shown', played.expectNothingLost, MATRIX_TIMEOUT_MS)
    it('G11: every answer in time and from the table', played.expectAnswered, MATRIX_TIMEOUT_MS)
  },
)
