/** An answer that must be a certain row of the error table, in Cloudflare's envelope. */

import { expect } from 'vitest'
import { CLOUDFLARE_TURN_KEY, ERRORS, type ErrorCode } from '../../../src/errors.ts'
import type { Answer } from './answer.ts'

export function expectFailure(answer: Answer, code: ErrorCode | 'no_such_key'): void {
  const row = code === 'no_such_key' ? { status: 404, cloudflareCode: CLOUDFLARE_TURN_KEY } : ERRORS[code]
  expect(answer, answer.text).toMatchObject({
    status: row.status,
    json: { success: false, errors: [{ code: row.cloudflareCode }], result: null },
  })
}

/** Cloudflare's SDK repeats 408, 409, 429 and 5xx by itself: this tells it not to. */
export function expectNoRepeat(answer: Answer): void {
  expect(answer.headers.get('x-should-retry'), answer.text).toBe('false')
}
