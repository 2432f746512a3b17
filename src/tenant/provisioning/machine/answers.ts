/** The state machine's part about Cloudflare's answers for an existing key: its name, and whether it still exists. Pure. */
import { failureOf } from '../../../cloudflare/failures.ts'
import { isVisible } from '../../turnKeys/states.ts'
import {
  type KeyEvent,
  type KeyFacts,
  NO_SUCH_KEY,
  NOTHING,
  RENAME_JOB,
  type Said,
  SETTLE_JOB,
  type Step,
  TAKEOVER_MS,
} from './vocabulary.ts'

export function renameOrdered(key: KeyFacts, name: string, now: number): Step {
  if (!isVisible(key.state)) return { failure: NO_SUCH_KEY }
  if (name === key.name && key.pendingName === null) return NOTHING
  return {
    set: { pending_name: name },
    jobs: [{ kind: RENAME_JOB, at: now + TAKEOVER_MS }],
    change: 'turn_key.rename',
  }
}

export function renamed(key: KeyFacts, { name, reply }: KeyEvent & { kind: 'renamed' }, now: number): Step {
  if (reply.kind === 'doubtful' || reply.kind === 'rate-limited') return { failure: failureOf(reply) }
  // A newer rename was ordered meanwhile: it keeps the job.
  const newer = key.pendingName !== name
  const answered: Step = newer ? NOTHING : { set: { pending_name: null }, jobs: [{ kind: RENAME_JOB, at: 'over' }] }
  if (reply.kind === 'refused') {
    const audit = { action: 'turn_key.rename', outcome: 'failed', code: 'upstream_failed' } as const
    return { ...answered, failure: failureOf(reply), audit }
  }
  const seen = checked(key, reply, now)
  const set = { ...answered.set, ...seen.set, ...(reply.kind === 'ok' ? { name } : {}) }
  const jobs = [...(answered.jobs ?? []), ...(seen.jobs ?? [])]
  return { ...seen, set, jobs, ...(reply.kind === 'gone' ? { failure: NO_SUCH_KEY } : {}) }
}

/** An unclear answer changes nothing. */
export function checked(key: KeyFacts, reply: Said, now: number): Step {
  if (reply.kind === 'ok') {
    const set = { modified: reply.modified, checked_at: now }
    if (key.state !== 'missing') return { set }
    const found = { action: 'turn_key.found', outcome: 'done' } as const
    return { set, to: key.replaced ? 'retiring' : 'active', audit: found }
  }
  if (reply.kind !== 'gone') return NOTHING
  if (key.state === 'missing') return { set: { checked_at: now } }
  return {
    to: 'missing',
    set: { checked_at: now },
    // The uid may have been wrong: Cloudflare may hold a key with this marker under another uid.
    jobs: [{ kind: SETTLE_JOB, at: now }],
    demote: true,
    audit: { action: 'turn_key.missing', outcome: 'done' },
  }
}
