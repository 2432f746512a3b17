/**
 * The Tenant: one Durable Object per tenant, which holds the truth about it. Key secrets are opened only inside it. This file
 * is its RPC surface: each method runs one operation of a room and answers a typed result.
 */
import type { TenantSnapshot } from '../cache/entries.ts'
import type { TenantIssuer } from '../contract/policy/issuers.ts'
import type { ApiTokenCreate, ApiTokenView, ApiTokenWithSecret } from '../contract/resources/apiTokens.ts'
import type { AuditEventView } from '../contract/resources/auditEvents.ts'
import type { ClientTokenAnswer, ClientTokenCreate } from '../contract/resources/clientTokens.ts'
import type { CredentialView } from '../contract/resources/credentials.ts'
import type {
  BanCreate,
  BanView,
  RevocationCreate,
  RevocationView,
  SubjectView,
} from '../contract/resources/revocations.ts'
import type { TenantView } from '../contract/resources/tenants.ts'
import type { CreatedTurnKey, DeletedTurnKey, RotatedTurnKey, TurnKeyView } from '../contract/resources/turnKeys.ts'
import type { Scope } from '../contract/scopes.ts'
import type { Result } from '../errors.ts'
import type { Call, Page } from '../rpc/calls.ts'
import type { Issued, IssueRequest, Lend, RefusedJwt, StunOnly } from '../rpc/issuing.ts'
import type { ResealOrder, ResealReport } from '../rpc/reseal.ts'
import type { Bookmarks, RestoreFinish } from '../rpc/restore.ts'
import type { ReconcileOrder, Reconciliation } from '../rpc/sweep.ts'
import type { TenantPatchCall, TenantSetUp } from '../rpc/tenants.ts'
import type { LookedUp, TurnKeyCreation, TurnKeyImportCall, TurnKeyRotation } from '../rpc/turnKeys.ts'
import type { AuditPage } from '../storage/auditTrail.ts'
import type { IdempotencyKey } from '../storage/idempotency.ts'
import { authorize } from './core/authorization.ts'
import { publishSnapshot, snapshot } from './core/changes.ts'
import type { TenantContext } from './core/context.ts'
import { issue } from './issuing/issue.ts'
import { checkIssuers } from './issuing/issuerCheck.ts'
import { recordRefusedJwt } from './issuing/refusalAudit.ts'
import { listCredentials } from './ledger/listing.ts'
import { listAuditEvents } from './lifecycle/auditTrail.ts'
import { beginDeletion } from './lifecycle/delete.ts'
import { reseal } from './lifecycle/reseal.ts'
import { bookmarksAt, eraseAgain, finishRestore, scheduleRestore } from './lifecycle/restore.ts'
import { describeTenant, initTenant, patchTenant } from './lifecycle/tenant.ts'
import { TenantObject } from './object.ts'
import { createTurnKey } from './provisioning/create.ts'
import { importTurnKey } from './provisioning/import.ts'
import { listTurnKeys, lookUpTurnKey } from './provisioning/lookup.ts'
import { reconcileKeys } from './provisioning/reconcile.ts'
import { removeTurnKey } from './provisioning/remove.ts'
import { renameTurnKey } from './provisioning/rename.ts'
import { rotateTurnKey } from './provisioning/rotate.ts'
import { noteAnswered } from './provisioning/sdkRetries.ts'
import { createBan, liftBan, listBans } from './revocations/bans.ts'
import { revokeByUsername } from './revocations/byUsername.ts'
import { createRevocation, getRevocation } from './revocations/revocations.ts'
import { eraseSubject, searchSubject } from './revocations/subjects.ts'
import { createApiToken, deleteApiToken, listApiTokens, rollApiToken } from './tokens/apiTokens.ts'
import { createClientToken } from './tokens/clientTokens.ts'

export class Tenant extends TenantObject {
  /** Sets the object up. Called by the Account. */
  init(setUp: TenantSetUp): Promise<Result<TenantView>> {
    return this.settingUp((ctx) => initTenant(ctx, setUp))
  }

  describe(call: Call & { scope: Scope }): Promise<Result<TenantView>> {
    return this.answer((ctx) => {
      authorize(ctx, call.caller, call.scope)
      return describeTenant(ctx)
    }, call.caller)
  }

  patch(call: TenantPatchCall): Promise<Result<TenantView>> {
    return this.answer((ctx) => patchTenant(ctx, call))
  }

  beginDeletion(call: Call & { cascade: boolean }): Promise<Result<void>> {
    return this.answer((ctx) => beginDeletion(ctx, call))
  }

  bookmarksAt(at: number): Promise<Result<Bookmarks>> {
    return this.answerWhileRestored((ctx) => bookmarksAt(ctx, at))
  }

  /** Aborts the object; it restarts from the bookmark. Success breaks the RPC; only a failure returns. */
  async setBack(to: string): Promise<Result<void>> {
    const ordered = await this.answerWhileRestored((ctx) => scheduleRestore(ctx, this.restoreGate, to))
    if (ordered.ok) this.ctx.abort('set back in time')
    return ordered
  }

  eraseAgain(subjectIds: readonly string[]): Promise<Result<void>> {
    return this.answerWhileRestored((ctx) => eraseAgain(ctx, subjectIds))
  }

  async comeBack(call: RestoreFinish): Promise<Result<TenantView | null>> {
    const answer = await this.answerWhileRestored((ctx) => finishRestore(ctx, call))
    if (answer.ok) this.restoreGate.open()
    return answer
  }

  listApiTokens(page: Page): Promise<Result<{ items: ApiTokenView[]; next: number | null }>> {
    return this.answer((ctx) => listApiTokens(ctx, page))
  }

  createApiToken(
    call: Call & { input: ApiTokenCreate; idempotency: IdempotencyKey | undefined },
  ): Promise<Result<ApiTokenWithSecret>> {
    return this.answer((ctx) => createApiToken(ctx, call))
  }

  rollApiToken(call: Call & { tokenId: string; overlapSeconds: number }): Promise<Result<ApiTokenWithSecret>> {
    return this.answer((ctx) => rollApiToken(ctx, call))
  }

  deleteApiToken(call: Call & { tokenId: string }): Promise<Result<void>> {
    return this.answer((ctx) => deleteApiToken(ctx, call))
  }

  /** Only checks the caller, for a request that the edge refuses anyway. */
  authorize(call: Call & { scope: Scope }): Promise<Result<void>> {
    return this.answer((ctx) => {
      authorize(ctx, call.caller, call.scope)
      ctx.waitUntil(publishSnapshot(ctx))
    }, call.caller)
  }

  listTurnKeys(call: Call): Promise<Result<TurnKeyView[]>> {
    return this.answer((ctx) => listTurnKeys(ctx, call), call.caller)
  }

  createTurnKey(creation: TurnKeyCreation): Promise<Result<CreatedTurnKey>> {
    return this.answer((ctx) => continued(ctx, createTurnKey(ctx, creation)), creation.caller)
  }

  rotateTurnKey(rotation: TurnKeyRotation): Promise<Result<RotatedTurnKey>> {
    return this.answer((ctx) => continued(ctx, rotateTurnKey(ctx, rotation)), rotation.caller)
  }

  importTurnKey(call: TurnKeyImportCall): Promise<Result<TurnKeyView>> {
    return this.answer((ctx) => continued(ctx, importTurnKey(ctx, call)), call.caller)
  }

  /** The Worker reports that the answer of this request was handed to a client that retries by itself. */
  answered(requestId: string): Promise<Result<void>> {
    return this.answer((ctx) => noteAnswered(ctx, requestId))
  }

  lookUpTurnKey(call: Call & { uid: string }): Promise<Result<LookedUp>> {
    return this.answer((ctx) => lookUpTurnKey(ctx, call), call.caller)
  }

  renameTurnKey(call: Call & { uid: string; name: string | undefined }): Promise<Result<TurnKeyView>> {
    return this.answer((ctx) => renameTurnKey(ctx, call), call.caller)
  }

  removeTurnKey(call: Call & { uid: string }): Promise<Result<DeletedTurnKey>> {
    return this.answer((ctx) => removeTurnKey(ctx, call), call.caller)
  }

  /** The sweep asks what these listed keys are to the tenant. Called by the Account. */
  examineKeys(examination: ReconcileOrder): Promise<Result<Reconciliation>> {
    return this.answer((ctx) => reconcileKeys(ctx, examination))
  }

  /** The snapshot for the edge; also written to KV. */
  edgeSnapshot(): Promise<Result<TenantSnapshot>> {
    return this.answer((ctx) => {
      ctx.waitUntil(publishSnapshot(ctx))
      return snapshot(ctx)
    })
  }

  createClientToken(call: Call & { input: ClientTokenCreate }): Promise<Result<ClientTokenAnswer>> {
    return this.answer((ctx) => createClientToken(ctx, call), call.caller)
  }

  /** `lend`: for a mint that finds the object's own connections taken. */
  issue(request: IssueRequest, lend: Lend = null): Promise<Result<Issued | StunOnly>> {
    return this.answer((ctx) => issue(ctx, request, lend), request.asker)
  }

  noteRefusedJwt(refused: RefusedJwt): Promise<Result<void>> {
    return this.answer((ctx) => recordRefusedJwt(ctx, refused))
  }

  /** The identity providers by which the Worker checks a token for an operator. */
  checkIssuers(call: Call): Promise<Result<readonly TenantIssuer[]>> {
    return this.answer((ctx) => checkIssuers(ctx, call))
  }

  revokeByUsername(call: Call & { uid: string; username: string }): Promise<Result<void>> {
    return this.answer((ctx) => revokeByUsername(ctx, call), call.caller)
  }

  listCredentials(
    call: Call & Page & { subjectId: string | null; keyId: string | null },
  ): Promise<Result<{ items: CredentialView[]; next: number | null }>> {
    return this.answer((ctx) => listCredentials(ctx, call), call.caller)
  }

  createRevocation(
    call: Call & { input: RevocationCreate; idempotency: IdempotencyKey | undefined },
  ): Promise<Result<RevocationView>> {
    return this.answer((ctx) => createRevocation(ctx, call), call.caller)
  }

  getRevocation(call: Call & { id: string }): Promise<Result<RevocationView>> {
    return this.answer((ctx) => getRevocation(ctx, call), call.caller)
  }

  createBan(call: Call & { input: BanCreate }): Promise<Result<BanView>> {
    return this.answer((ctx) => createBan(ctx, call), call.caller)
  }

  listBans(call: Call & Page): Promise<Result<{ items: BanView[]; next: number | null }>> {
    return this.answer((ctx) => listBans(ctx, call), call.caller)
  }

  liftBan(call: Call & { id: string }): Promise<Result<BanView>> {
    return this.answer((ctx) => liftBan(ctx, call), call.caller)
  }

  searchSubject(call: Call & { subject: string }): Promise<Result<SubjectView>> {
    return this.answer((ctx) => searchSubject(ctx, call), call.caller)
  }

  eraseSubject(call: Call & { subjectId: string }): Promise<Result<void>> {
    return this.answer((ctx) => eraseSubject(ctx, call), call.caller)
  }

  /** Reseals one batch of the tenant's secrets. The Account calls until it is finished. */
  reseal(order: ResealOrder): Promise<Result<ResealReport>> {
    return this.answer((ctx) => reseal(ctx, order))
  }

  listAuditEvents(call: Call & AuditPage): Promise<Result<{ items: AuditEventView[]; next: number | null }>> {
    return this.answer((ctx) => listAuditEvents(ctx, call), call.caller)
  }
}

/** The work goes on when the caller has hung up; a caller that still waits gets its result or failure. */
function continued<T>(ctx: TenantContext, work: Promise<T>): Promise<T> {
  ctx.waitUntil(work.catch(() => undefined))
  return work
}
