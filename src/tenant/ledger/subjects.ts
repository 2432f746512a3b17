/**
 * The table `subjects`, which only this file writes: the end users that credentials are for. Each has a random id. Cloudflare,
 * logs and the audit trail see only that id, so that erasing a person is deleting one row.
 */
import { newId } from '../../crypto/ids.ts'
import type { ReadContext, TenantContext } from '../core/context.ts'

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

/** Subjects not used since then that have neither a credential nor a ban; `atMost` of them. */
export function forgetSubjects(sql: SqlStorage, usedBefore: number, atMost: number): void {
  sql.exec(
    `DELETE FROM subjects WHERE seq IN (
       SELECT seq FROM subjects WHERE used_at < ?
         AND NOT EXISTS (SELECT 1 FROM credentials WHERE subject_id = subjects.id)
         AND NOT EXISTS (SELECT 1 FROM bans WHERE subject_id = subjects.id)
       LIMIT ?)`,
    usedBefore,
    atMost,
  )
}
