/** The Account's jobs: which handler runs which kind. */
import type { JobHandlers } from '../storage/jobs.ts'
import type { AccountContext } from './core/context.ts'
import type { AccountJobKind } from './core/jobKinds.ts'
import { CREATION_JOB, finishCreation } from './directory/directory.ts'
import { FORGET_ERASURES_JOB, forgetErasures } from './directory/erasures.ts'
import { RESTORE_JOB, resumeRestore } from './directory/restore.ts'
import { PRUNE_JOB, prune } from './pruning.ts'
import { RESEAL_JOB, resealJob } from './rootKeys/reseal.ts'
import { CHECK_KEYS_JOB, type TokenCheck } from './tokenCheck/tokenCheck.ts'
import { sweep } from './turnKeys/sweep.ts'
import { SWEEP_JOB } from './turnKeys/sweepRows.ts'
import type { UpstreamList } from './turnKeys/upstreamList.ts'

export const accountJobs = (
  ctx: AccountContext,
  { list, tokenCheck }: { readonly list: UpstreamList; readonly tokenCheck: TokenCheck },
): JobHandlers<AccountJobKind> => ({
  [CREATION_JOB]: async ({ key }) => {
    await finishCreation(ctx, key)
    return 'done'
  },
  [RESTORE_JOB]: async ({ key }) => {
    await resumeRestore(ctx, key)
    return 'done'
  },
  [FORGET_ERASURES_JOB]: () => forgetErasures(ctx),
  [SWEEP_JOB]: () => sweep(ctx, list),
  [RESEAL_JOB]: (job) => resealJob(ctx, job),
  [PRUNE_JOB]: () => prune(ctx),
  [CHECK_KEYS_JOB]: () => tokenCheck.copyJob(ctx),
})
