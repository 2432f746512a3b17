/** What a listed key is by the rows of its Tenant: each state, itself or another under its marker, young or old. */

import { describe, expect, it } from 'vitest'
import { isAbsent, type Verdict, verdictOf } from '../../src/tenant/provisioning/reconcile.ts'
import type { NamedTurnKeyRow } from '../../src/tenant/turnKeys/rows.ts'
import { TURN_KEY_STATES, type TurnKeyState } from '../../src/tenant/turnKeys/states.ts'
import { MINUTE_MS } from '../support/broker/clock.ts'

const NOW = 1_800_000_000_000
const row = (state: TurnKeyState, over: Partial<NamedTurnKeyRow> = {}) =>
  ({ uid: 'itself', intent: 'its', state, begun_at: 0, state_at: 0, checked_at: 0, ...over }) as NamedTurnKeyRow // all that is read

describe('a listed key', () => {
  const verdicts: Record<TurnKeyState, [itself: Verdict, another: Verdict]> = {
    creating: ['kept', 'kept'],
    unknown: ['doubtful', 'doubtful'],
    active: ['kept', 'orphan'],
    retiring: ['kept', 'orphan'],
    deleting: ['kept', 'kept'],
    deleted: ['orphan', 'orphan'],
    failed: ['orphan', 'orphan'],
    missing: ['found', 'orphan'],
  }
  it.each(TURN_KEY_STATES)(
    'A listed key whose row is %s gets the verdict of that state, and so does another under its marker',
    (state) => {
      const [itself, another] = verdicts[state]
      const same = { uid: 'itself', intent: 'its' }
      const other = { uid: 'another', intent: 'its' }
      expect(verdictOf(row(state), same, NOW)).toBe(itself)
      expect(verdictOf(row(state), other, NOW)).toBe(another)
      // Young: an answer or a list may be older than the row.
      const young = row(state, { state_at: NOW - 10 * MINUTE_MS + 1 })
      for (const listed of [same, other]) expect(verdictOf(young, listed, NOW)).not.toBe('orphan')
    },
  )

  it('A listed key without a row is a stranger, and so is one that failed to be imported', () => {
    expect(verdictOf(undefined, { uid: 'itself', intent: 'its' }, NOW)).toBe('stranger')
    for (const intent of [null, 'another’s']) {
      expect(verdictOf(row('failed'), { uid: 'itself', intent }, NOW)).toBe('stranger')
    }
  })
})

describe('a key that is not listed', () => {
  it('A key that is not listed is looked up when it was created and last seen ten minutes before the list', () => {
    const early = NOW - 10 * MINUTE_MS
    const none = new Set<string>()
    expect(isAbsent(row('active'), none, NOW)).toBe(true)
    expect(isAbsent(row('retiring', { begun_at: early, state_at: early, checked_at: early }), none, NOW)).toBe(true)
    expect(isAbsent(row('active'), new Set(['itself']), NOW)).toBe(false)
    expect(isAbsent(row('missing'), none, NOW)).toBe(false)
    for (const young of ['begun_at', 'state_at', 'checked_at']) {
      expect(isAbsent(row('active', { [young]: early + 1 }), none, NOW), young).toBe(false)
    }
  })
})
