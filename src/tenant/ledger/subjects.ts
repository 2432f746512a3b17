/**
 * The table `subjects`, which only this file writes: the end users that credentials are for. Each has a random id. Cloudflare,
 * logs and the audit trail see only that id, so that erasing a person is deleting one row.
 */
import { newId } from '../../crypto/ids.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'
import { markOf, setMark } from '../core/marks.ts'
import { forgetPlace, keepPlace, placeInWalk } from '../core/walks.ts'

const DAY_MS = 86_400_000
/** `used_at` is written once in this time at most. */
const USE_NOTED_MS = DAY_MS
const WALK = 'subjects'

export interface SubjectRow extends Record<string, SqlStorageValue> {
  id: string
  subject: string
  used_at: number
}

export const findSubject = (sql: SqlStorage, subject: string): SubjectRow | undefined =>
  sql.exec<SubjectRow>('SELECT id, subject, used_at FROM subjects WHERE subject = ?', subject).toArray()[0]

export const findSubjectId = (sql: SqlStorage, id: string): SubjectRow | undefined =>
  sql.exec<SubjectRow>('SELECT id, subject, used_at FROM subjects WHERE id = ?', id).toArray()[0]

/** The id of a subject that is not stored: chosen by a mint still in flight, or new. */
export const unstoredSubjectId = (memory: TenantContext['memory'], subject: string): string =>
  memory.subjectIdInFlight(subject) ?? newId('su')

/**
 * Stores a subject that is used, inside a transaction. `usedAt`: of the stored subject as the caller has read it; `null`: it was not
 * stored. While that is of the last day nothing is written.
 */
export function keepSubject(
  { sql, now }: ReadContext,
  { subject, id, usedAt }: { readonly subject: string; readonly id: string; readonly usedAt: number | null },
): void {
  if (usedAt !== null && usedAt >= now() - USE_NOTED_MS) return
  sql.exec(
    `INSERT INTO subjects (subject, id, used_at) VALUES (?, ?, ?)
     ON CONFLICT (subject) DO UPDATE SET used_at = excluded.used_at`,
    subject,
    id,
    now(),
  )
}

/** Inside a transaction: keeps the subject; its id is the stored one, one chosen by a mint in flight, or new. */
export function keptSubject(ctx: ReadContext & Pick<TenantContext, 'memory'>, subject: string): string {
  const stored = findSubject(ctx.sql, subject)
  const id = stored?.id ?? unstoredSubjectId(ctx.memory, subject)
  keepSubject(ctx, { subject, id, usedAt: stored?.used_at ?? null })
  return id
}

/** Erases the name; what refers to the id stays and leads to no person. */
export function deleteSubject(sql: SqlStorage, id: string): void {
  sql.exec('DELETE FROM subjects WHERE id = ?', id)
}

/**
 * Inside a transaction: one step of a walk over all subjects, of `atMost` rows. Deletes those not used since `usedBefore` that
 * have neither a credential nor a ban. A walk begins at most once a day. Returns whether it goes on.
 */
export function forgetSubjects({ sql, now }: ReadContext, usedBefore: number, atMost: number): boolean {
  const walked = placeInWalk(sql, WALK)
  if (walked === undefined && now() < markOf(sql, 'subjects-next-walk')) return false
  const step = sql
    .exec<{ id: string; used_at: number }>(
      'SELECT id, used_at FROM subjects WHERE id > ? ORDER BY id LIMIT ?',
      walked ?? '',
      atMost,
    )
    .toArray()
  for (const { id, used_at } of step) {
    // Its last use may be a day younger than what is noted, also one that a mint in flight has read.
    if (used_at < usedBefore - USE_NOTED_MS && !isReferredTo(sql, id)) deleteSubject(sql, id)
  }
  const last = step.at(-1)
  const goesOn = last !== undefined && step.length === atMost
  if (goesOn) keepPlace(sql, WALK, last.id)
  else forgetPlace(sql, WALK)
  if (walked === undefined) setMark(sql, 'subjects-next-walk', now() + DAY_MS)
  return goesOn
}

const isReferredTo = (sql: SqlStorage, id: string): boolean =>
  sql.exec('SELECT 1 FROM credentials WHERE subject_id = ? LIMIT 1', id).toArray().length > 0 ||
  sql.exec('SELECT 1 FROM bans WHERE subject_id = ? LIMIT 1', id).toArray().length > 0
