/**
 * Erasing a subject, and the table `unreported_erasures`, which only this file writes: the erasures that the Account was not told of yet.
 * The Account keeps their ids, so that a restore of this tenant's storage can repeat them.
 */
import { unwrap } from '../../errors.ts'
import { ERASURES_A_CALL, type Erasure } from '../../rpc/restore.ts'
import { type AuditEvent, audit } from '../../storage/audit.ts'
import type { JobOutcome } from '../../storage/jobs.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantId } from '../core/tenantRow.ts'
import { beginRevoking, ofSubject } from './revocation.ts'
import { deleteSubject, findSubjectId } from './subjects.ts'

const REPORT_JOB = 'report-erasures'

/**
 * Inside a transaction: revokes the subject's credentials, deletes its name, audits it, and orders the report to the Account.
 * Returns whether the subject was there.
 */
export function erase(ctx: TenantContext, subjectId: string, by: Pick<AuditEvent, 'actor' | 'requestId'>): boolean {
  if (!findSubjectId(ctx.sql, subjectId)) return false
  const now = ctx.now()
  beginRevoking(ctx, ofSubject(subjectId), null)
  deleteSubject(ctx.sql, subjectId)
  ctx.sql.exec(
    'INSERT INTO unreported_erasures (subject_id, at) VALUES (?, ?) ON CONFLICT DO UPDATE SET at = excluded.at',
    subjectId,
    now,
  )
  ctx.jobs.put(REPORT_JOB, '', now)
  audit(ctx.sql, now, { ...by, action: 'subject.erase', target: subjectId, subjectId, outcome: 'done' })
  return true
}

/** Reports one page of erasures to the Account. Returns whether there are more. Throws what the Account answers. */
export async function reportErasures(ctx: TenantContext): Promise<boolean> {
  const erasures = ctx.sql
    .exec<Erasure>(
      "SELECT subject_id AS subjectId, at FROM unreported_erasures WHERE subject_id > '' ORDER BY subject_id LIMIT ?",
      ERASURES_A_CALL,
    )
    .toArray()
  if (erasures.length === 0) return false
  unwrap(await ctx.account.recordErasures(tenantId(ctx), erasures))
  ctx.transact(() => {
    for (const { subjectId, at } of erasures) {
      ctx.sql.exec('DELETE FROM unreported_erasures WHERE subject_id = ? AND at = ?', subjectId, at)
    }
  })
  return erasures.length === ERASURES_A_CALL
}

export const erasureJobs = (ctx: TenantContext) => ({
  [REPORT_JOB]: async (): Promise<JobOutcome> => ((await reportErasures(ctx)) ? { againAt: ctx.now() } : 'done'),
})
