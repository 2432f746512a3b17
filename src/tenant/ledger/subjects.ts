/**
 * The table `subjects`, which only this file writes: the end users that credentials are for. Each has a random id. Cloudflare,
 * logs and the audit trail see only that id, so that erasing a person is deleting one row.
 */
import { newId } from '../../crypto/ids.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'
import { markOf, setMark } from '../core/marks.ts'

const DAY_MS = 86_400_000

export interface SubjectRow extends Record<string, SqlStorageValue> {
  id: string
  subject: string
  used_at: number
}

export const findSubject = (sql: SqlStorage, subject: string): SubjectRow | undefined =>
  sql.exec<SubjectRow>('SELECT id, subject, used_at FROM subjects WHERE subject = ?', subject).toArray()[0]

export const findSubjectId = (sql: SqlStorage, id: string): SubjectRow | undefined =>
  sql.exec<SubjectRow>('SELECT id, subject, used_at FROM subjects WHERE id = ?', id).toArray()[0]

/** The subject's id: stored, chosen by a mint still in flight, or new. Writes nothing. */
export const subjectIdFor = (ctx: Pick<TenantContext, 'sql' | 'memory'>, subject: string): string =>
  findSubject(ctx.sql, subject)?.id ?? unstoredSubjectId(ctx.memory, subject)

/** The id of a subject that is not stored: chosen by a mint still in flight, or new. */
export const unstoredSubjectId = (memory: TenantContext['memory'], subject: string): string =>
  memory.subjectIdInFlight(subject) ?? newId('su')

/** Stores a subject, inside a transaction; updates `used_at` at most once a day. */
export function keepSubject(ctx: ReadContext, subject: string, id: string): void {
  const now = ctx.now()
  const stored = findSubject(ctx.sql, subject)
  if (!stored) ctx.sql.exec('INSERT INTO subjects (id, subject, used_at) VALUES (?, ?, ?)', id, subject, now)
  else if (stored.used_at < now - DAY_MS) ctx.sql.exec('UPDATE subjects SET used_at = ? WHERE id = ?', now, stored.id)
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
  const walked = markOf(sql, 'subjects-walked')
  if (walked === 0 && now() < markOf(sql, 'subjects-next-walk')) return false
  const step = sql
    .exec<{ seq: number; id: string; used_at: number }>(
      'SELECT seq, id, used_at FROM subjects WHERE seq > ? ORDER BY seq LIMIT ?',
      walked,
      atMost,
    )
    .toArray()
  for (const { id, used_at } of step) {
    if (used_at < usedBefore && !isReferredTo(sql, id)) deleteSubject(sql, id)
  }
  const goesOn = step.length === atMost
  setMark(sql, 'subjects-walked', goesOn ? (step.at(-1)?.seq ?? 0) : 0)
  if (walked === 0) setMark(sql, 'subjects-next-walk', now() + DAY_MS)
  return goesOn
}

const isReferredTo = (sql: SqlStorage, id: string): boolean =>
  sql.exec('SELECT 1 FROM credentials WHERE subject_id = ? LIMIT 1', id).toArray().length > 0 ||
  sql.exec('SELECT 1 FROM bans WHERE subject_id = ? LIMIT 1', id).toArray().length > 0
