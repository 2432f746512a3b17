// One broken defence, or more, for each promise of docs/guarantees.md: what the broken code does, and which test file must
// fail. test/node/scripts/mutants.test.ts checks that each text to break stands exactly once, and that no promise is left out.

export interface Mutant {
  /** The promise as tests name it. */
  readonly promise: `G${number}`
  /** What the broken code does, as a sentence. */
  readonly breaks: string
  readonly file: string
  /** Stands exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** The test file that must fail, with a test that bears the promise's number. */
  readonly test: string
}

export const MUTANTS: readonly Mutant[] = [
  {
    promise: 'G1',
    breaks: 'A credential whose row could not be stored is not revoked.',
    file: 'src/tenant/issuing/commit.ts',
    find: 'ctx.waitUntil(revokeUnrecorded(ctx, completed.key, minted.username))',
    replace: 'void revokeUnrecorded',
    test: 'test/issuing/issuingDurable.test.ts',
  },
  {
    promise: 'G1',
    breaks: 'A credential is handed out although its row could not be stored.',
    file: 'src/tenant/issuing/commit.ts',
    find: 'minted.username))\n    throw error',
    replace: 'minted.username))',
    test: 'test/issuing/issuingDurable.test.ts',
  },
  {
    promise: 'G2',
    breaks: 'An ICE password is stored in clear.',
    file: 'src/tenant/issuing/commit.ts',
    find: 'sealed: refused ? null : sealed,',
    replace: 'sealed: refused || sealed === null ? null : minted.credential,',
    test: 'test/security/secretsCredentials.test.ts',
  },
  {
    promise: 'G3',
    breaks: "A tenant's token is good for another tenant's path.",
    file: 'src/http/caller/guard.ts',
    find: 'if ((tenantInPath(c) ?? tenant) !== tenant)',
    replace: 'if (tenant === "")',
    test: 'test/security/isolation.test.ts',
  },
  {
    promise: 'G3',
    breaks: 'A KV entry is believed whatever tenant it is of.',
    file: 'src/cache/entries.ts',
    find: 'entry.success && entry.data.tenant === entryOf.tenant',
    replace: 'entry.success',
    test: 'test/security/isolationCache.test.ts',
  },
  {
    promise: 'G4',
    breaks: 'A sealed secret is not bound to its record.',
    file: 'src/crypto/seal.ts',
    find: 'place.tenant, place.record, place.version]',
    replace: 'place.tenant, place.version]',
    test: 'test/security/sealedSecrets.test.ts',
  },
  {
    promise: 'G5',
    breaks: 'A key that an unknown creation left at Cloudflare is not deleted.',
    file: 'src/tenant/provisioning/settle.ts',
    find: 'for (const uid of strays) {',
    replace: 'for (const uid of strays.slice(1)) {',
    test: 'test/provisioning/creationFaults.test.ts',
  },
  {
    promise: 'G5',
    breaks: 'Cloudflare is asked to create a key again when its answer was lost.',
    file: 'src/tenant/provisioning/create.ts',
    find: "if (reply.kind === 'doubtful' || reply.kind === 'gone') return { kind: 'doubted' }",
    replace:
      "if (reply.kind === 'doubtful') await ctx.turnKeys.create(markedName(deployment, intent, row.name), POST_DEADLINE_MS)\n  if (reply.kind === 'doubtful' || reply.kind === 'gone') return { kind: 'refused', failure: { code: 'upstream_failed' } }",
    test: 'test/provisioning/creationFaults.test.ts',
  },
  {
    promise: 'G6',
    breaks: 'A mint in flight commits although its grounds were taken away.',
    file: 'src/tenant/issuing/commitCheck.ts',
    find: 'if (tenantRecord(ctx).epoch === grant.epoch) return',
    replace: 'if (tenantRecord(ctx).epoch !== 0) return',
    test: 'test/ledger/revokingInFlight.test.ts',
  },
  {
    promise: 'G6',
    breaks: 'A revocation counts as done when Cloudflare failed to confirm it.',
    file: 'src/tenant/ledger/revocation.ts',
    find: 'if (!failed) ctx.transact(() => confirm(ctx, row))',
    replace: 'ctx.transact(() => confirm(ctx, row))',
    test: 'test/ledger/revokingProgress.test.ts',
  },
  {
    promise: 'G6',
    breaks: 'A banned API token is refused at a mint only.',
    file: 'src/tenant/core/authorization.ts',
    find: "if (caller.kind === 'api-token') refuseBannedToken(ctx, caller.id)",
    replace: '',
    test: 'test/security/bannedTokens.test.ts',
  },
  {
    promise: 'G7',
    breaks: "A ttl is compared with Cloudflare's ceiling only, not with the tenant's.",
    file: 'src/tenant/issuing/eligibility.ts',
    find: 'requestedTtlSeconds > ttlCeilingSeconds)',
    replace: 'requestedTtlSeconds > 172_800)',
    test: 'test/issuing/issuingTtl.test.ts',
  },
  {
    promise: 'G8',
    breaks: 'Mints in flight do not count against the limits.',
    file: 'src/tenant/memory/liveCounts.ts',
    find: 'return this.#live + this.#reserved',
    replace: 'return this.#live',
    test: 'test/issuing/limits.test.ts',
  },
  {
    promise: 'G9',
    breaks: 'The shared budget of API calls has no end.',
    file: 'src/account/budget/budget.ts',
    find: "freeFrom(buckets, 'total', TOTAL_CALLS - reserve)",
    replace: "freeFrom(buckets, 'total', 10 * TOTAL_CALLS - reserve)",
    test: 'test/provisioning/creationBudget.test.ts',
  },
  {
    promise: 'G10',
    breaks: 'A redirect of Cloudflare or of a key set is followed.',
    file: 'src/cloudflare/exchange.ts',
    find: "redirect: 'manual'",
    replace: "redirect: 'follow'",
    test: 'test/cloudflare/upstreamBounds.test.ts',
  },
  {
    promise: 'G11',
    breaks: 'A call of the Account has no deadline.',
    file: 'src/tenant/core/accountClient.ts',
    find: 'return await within(DEADLINES_MS[name], call(), () => ({ ok: false, failure: LATE }))',
    replace: 'return await within(600_000, call(), () => ({ ok: false, failure: LATE }))',
    test: 'test/account/brokenAccount.test.ts',
  },
  {
    promise: 'G12',
    breaks: 'A resealed secret is bound to its old version while the row has the new one.',
    file: 'src/tenant/turnKeys/secret.ts',
    find: 'sealSecret(ctx, { uid, version: version + 1 }, secret)',
    replace: 'sealSecret(ctx, { uid, version }, secret)',
    test: 'test/lifecycle/resealingCrash.test.ts',
  },
  {
    promise: 'G12',
    breaks: 'A rotation whose object died after the new key was stored is not continued.',
    file: 'src/tenant/provisioning/switchOver.ts',
    find: 'if (row) await resumeRotation(',
    replace: 'if (row && row.seq < 0) await resumeRotation(',
    test: 'test/provisioning/rotationCrash.test.ts',
  },
  {
    promise: 'G13',
    breaks: 'The admin token is good on any host.',
    file: 'src/auth/admin.ts',
    find: 'if (config.adminHost !== undefined && config.adminHost !== host) return',
    replace: '',
    test: 'test/security/adminDoor.test.ts',
  },
  {
    promise: 'G14',
    breaks: 'The edge answers from KV for an hour while the Tenant is out of reach.',
    file: 'src/cache/entries.ts',
    find: 'return age <= FRESH_MS &&',
    replace: 'return age <= 60 * FRESH_MS &&',
    test: 'test/lifecycle/outOfReach.test.ts',
  },
  {
    promise: 'G16',
    breaks: 'A refused alarm counts as set.',
    file: 'src/storage/jobs.ts',
    find: 'setTimeout(() => this.arm(), waitMs)',
    replace: 'void waitMs',
    test: 'test/lifecycle/alarms.test.ts',
  },
  {
    promise: 'G17',
    breaks: 'Every foreign origin causes a question of the Tenant.',
    file: 'src/http/caller/snapshots.ts',
    find: 'snapshotRechecks.set(tenant, work)',
    replace: 'void snapshotRechecks',
    test: 'test/http/policyAdditions.test.ts',
  },
  {
    promise: 'G18',
    breaks: 'A policy counts at an edge only when its snapshot has expired.',
    file: 'src/http/caller/cors.ts',
    find: 'if (!allows(snapshot) && !allows(await recheckedSnapshot(c, tenant, snapshot)))',
    replace: 'if (!allows(snapshot))',
    test: 'test/http/policyAdditions.test.ts',
  },
  {
    promise: 'G19',
    breaks: 'The rate limiter is given the name of the subject.',
    file: 'src/http/caller/rateLimits.ts',
    find: "await keyedDigest(rootKeys, { purpose: 'rate-limit', tenant }, subject)",
    replace: "tenant + ' ' + subject + (rootKeys.current === '' ? String(keyedDigest) : '')",
    test: 'test/security/forgetting.test.ts',
  },
]
