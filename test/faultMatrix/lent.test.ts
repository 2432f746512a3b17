/** The fault matrix for mints over the connections of their callers: what befalls them ends as it does for the object's own. */
import { it } from 'vitest'
import { MATRIX_TIMEOUT_MS, playedOnce } from '../support/matrix/matrixRun.ts'

const scenario = 'a mint over a lent connection'
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
it(
  `G11: Under every fault ${scenario} ends as one over a connection of the object`,
  (context) => played.expectOutcomesOf('a mint', context),
  MATRIX_TIMEOUT_MS,
)
