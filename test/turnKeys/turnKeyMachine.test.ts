/** The machine of a TURN key as a table: every event in every state, without rows and without upstream. */

import { describe, expect, it } from 'vitest'
import { next } from '../../src/tenant/provisioning/machine/next.ts'
import type { KeyEvent, KeyFacts } from '../../src/tenant/provisioning/machine/vocabulary.ts'
import { isVisible, mayMove, TURN_KEY_STATES, type TurnKeyState } from '../../src/tenant/turnKeys/states.ts'

const NOW = 1_000_000
const ok = { kind: 'ok', modified: '2026-10-01T00:00:00Z' } as const
const noes = [
  { kind: 'gone' },
  { kind: 'refused', status: 403 },
  { kind: 'rate-limited', retryAfterSeconds: 7 },
  { kind: 'doubtful', reason: 'network' },
  { kind: 'doubtful', reason: 'malformed' },
] as const
const replies = [ok, ...noes]

const created = { kind: 'created', uid: 'u', columns: { sealed: 's' } } as const
const EVENTS: KeyEvent[] = [
  { ...created, refusal: undefined },
  { ...created, refusal: { code: 'tenant_suspended' } },
  { kind: 'refused', failure: { code: 'upstream_failed' } },
  { kind: 'refused', failure: { code: 'upstream_unavailable', retryAfterSeconds: 5 } },
  { kind: 'doubted' },
  { kind: 'looked', undone: 0 },
  { kind: 'looked', undone: 2 },
  { kind: 'removal-ordered', inMs: 5 },
  { kind: 'taken-back', pending: 1, possible: true },
  { kind: 'taken-back', pending: 1, possible: false },
  { kind: 'taken-back', pending: 0, possible: true },
  { kind: 'rename-ordered', name: 'second' },
  ...[null, NOW + 60_000].flatMap((lastExpiry): KeyEvent[] => [
    { kind: 'replaced', revoke: false, lastExpiry },
    { kind: 'replaced', revoke: true, lastExpiry },
    { kind: 'retired', lastExpiry },
  ]),
  ...replies.flatMap((reply): KeyEvent[] => [
    { kind: 'removed', reply },
    { kind: 'renamed', name: 'second', reply },
    { kind: 'checked', reply },
    { kind: 'proved', reply, old: { name: 'first' } },
    { kind: 'proved', reply, old: { name: 'renamed' } },
    { kind: 'proved', reply, old: undefined },
    { kind: 'tried', reply, refusal: undefined, isAwaited: true },
    { kind: 'tried', reply, refusal: undefined, isAwaited: false },
    { kind: 'tried', reply, refusal: { code: 'tenant_suspended' }, isAwaited: true },
  ]),
]

const keyIn = (state: TurnKeyState, more: Partial<KeyFacts> = {}): KeyFacts => ({
  state,
  name: 'first',
  pendingName: null,
  hasSecret: false,
  replaces: false,
  replaced: false,
  looks: 0,
  begunAt: NOW,
  ...more,
})

const KEYS = TURN_KEY_STATES.flatMap((state) =>
  [
    {},
    { replaced: true },
    { replaces: true },
    { hasSecret: true },
    { replaces: true, hasSecret: true },
    { pendingName: 'second' },
    { looks: 4 },
  ].map((more) => keyIn(state, more)),
)
const everywhere = KEYS.flatMap((key) => EVENTS.map((event) => ({ key, event, step: next(key, event, NOW) })))

describe('every event in every state', () => {
  it('Every event in every state leads only where the table of moves allows, and says what is to be written', () => {
    expect(everywhere.length).toBeGreaterThan(700)
    for (const { key, event, step } of everywhere) {
      if (step.to) expect(mayMove(key.state, step.to), `${key.state} ${event.kind} → ${step.to}`).toBe(true)
    }
  })

  it('Every event in every state that is finally over leads nowhere and writes no column', () => {
    for (const { key, event, step } of everywhere) {
      if (key.state !== 'deleted' && key.state !== 'failed') continue
      const { to, set, takeBack, change } = step
      expect({ to, set, takeBack, change }, `${key.state} ${event.kind}`).toEqual({})
    }
  })

  it('Every event in every state erases a secret only of what becomes deleted, and shows a key only while upstream has one', () => {
    for (const { key, step } of everywhere) {
      if (step.set?.sealed === null) expect(step.to).toBe('deleted')
      if (step.to === 'deleted') expect(step.set?.sealed).toBeNull()
      if (step.to === 'active') expect(['creating', 'missing']).toContain(key.state)
    }
  })

  it('Every event in every state that ends an unknown outcome answers repeats of the request, and ends its job', () => {
    for (const { event, step } of everywhere) {
      if (step.to !== 'failed') continue
      expect(step.repeat, event.kind).toBeDefined()
      expect(step.jobs).toContainEqual({ kind: 'settle-creation', at: 'over' })
    }
  })

  it('Every event in every state that leaves something to upstream leaves a job for it', () => {
    for (const { key, event, step } of everywhere) {
      const jobs = step.jobs?.filter(({ at }) => at !== 'over').map(({ kind }) => kind) ?? []
      if (step.to === 'deleting') expect(jobs, event.kind).toEqual(['remove-turn-key'])
      if (step.set?.pending_name) expect(jobs).toEqual(['rename-turn-key'])
      // What is unknown has the job its intent was stored with.
      if (step.to === 'unknown') expect(step.jobs, key.state).toBeUndefined()
    }
  })
})

describe('a key that upstream', () => {
  it('A key that upstream has lost is missing and no default any more, and is found again as what it was', () => {
    for (const state of TURN_KEY_STATES.filter(isVisible)) {
      const lost = next(keyIn(state), { kind: 'checked', reply: { kind: 'gone' } }, NOW)
      expect(lost.to).toBe(state === 'missing' ? undefined : 'missing')
      if (lost.to) expect(lost.demote).toBe(true)
    }
    expect(next(keyIn('missing'), { kind: 'checked', reply: ok }, NOW).to).toBe('active')
    expect(next(keyIn('missing', { replaced: true }), { kind: 'checked', reply: ok }, NOW).to).toBe('retiring')
  })

  it('A key that upstream does not speak of clearly stays as it is', () => {
    for (const reply of noes.filter(({ kind }) => kind !== 'gone'))
      expect(next(keyIn('active'), { kind: 'checked', reply }, NOW)).toEqual({})
  })
})

describe('a doubtful creation', () => {
  it('A doubtful creation is believed to be nothing only after five looks in 24 hours', () => {
    const dues: unknown[] = []
    for (let looks = 0; looks < 5; looks++) {
      const step = next(keyIn('unknown', { looks }), { kind: 'looked', undone: 0 }, NOW)
      dues.push(step.to ?? Number(step.jobs?.[0]?.at) - NOW)
    }
    expect(dues).toEqual([300_000, 900_000, 3_600_000, 86_400_000, 'failed'])
  })

  it('A doubtful creation ends with the first stray that was found and undone', () => {
    const step = next(keyIn('unknown'), { kind: 'looked', undone: 1 }, NOW)
    expect(step).toMatchObject({ to: 'failed', audit: { action: 'turn_key.undo' }, repeat: { doNotRepeat: true } })
  })

  it('A doubtful creation never becomes a key, whatever comes late', () => {
    for (const state of ['unknown', 'failed'] as const)
      expect(next(keyIn(state), { ...created, refusal: undefined }, NOW)).toMatchObject({
        failure: { code: 'outcome_unknown', doNotRepeat: true },
      })
  })
})

describe('a rename', () => {
  it('A rename answered while a newer one waits leaves that one its turn', () => {
    const step = next(keyIn('active', { pendingName: 'third' }), { kind: 'renamed', name: 'second', reply: ok }, NOW)
    expect(step.set).toEqual({ name: 'second', modified: ok.modified, checked_at: NOW })
    expect(step.jobs).toEqual([])
  })
})
