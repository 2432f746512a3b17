/** The Tenant's tables; docs/storage.md explains every column. Migrations are only ever appended. */
import { AUDIT_TABLE } from '../storage/audit.ts'
import { IDEMPOTENCY_TABLE } from '../storage/idempotency.ts'
import { JOBS_TABLE } from '../storage/jobs.ts'

export const MIGRATIONS = [
  `CREATE TABLE tenant (
     one INTEGER PRIMARY KEY CHECK (one = 1), id TEXT NOT NULL, name TEXT NOT NULL, region TEXT NOT NULL,
     status TEXT NOT NULL, policy TEXT NOT NULL, version INTEGER NOT NULL, epoch INTEGER NOT NULL,
     created_at INTEGER NOT NULL, modified_at INTEGER NOT NULL
   );
   CREATE TABLE api_tokens (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL,
     digest TEXT NOT NULL, previous_digest TEXT, previous_until INTEGER, expires_at INTEGER,
     created_at INTEGER NOT NULL, rolled_at INTEGER
   );
   CREATE TABLE turn_keys (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, intent TEXT NOT NULL UNIQUE, uid TEXT UNIQUE, state TEXT NOT NULL,
     name TEXT NOT NULL, pending_name TEXT, sealed TEXT, secret_version INTEGER NOT NULL DEFAULT 1,
     revealed INTEGER NOT NULL DEFAULT 0, created TEXT, modified TEXT, looks INTEGER NOT NULL DEFAULT 0,
     begun_at INTEGER NOT NULL, state_at INTEGER NOT NULL, checked_at INTEGER,
     replaces INTEGER, successor INTEGER, retire_revokes INTEGER NOT NULL DEFAULT 0
   );
   CREATE INDEX turn_keys_state ON turn_keys (state);
   CREATE INDEX turn_keys_replaces ON turn_keys (replaces);
   CREATE INDEX turn_keys_successor ON turn_keys (successor);
   CREATE INDEX turn_keys_ended ON turn_keys (state_at) WHERE state IN ('deleted', 'failed') AND successor IS NULL;
   CREATE INDEX turn_keys_replaced ON turn_keys (state_at) WHERE state IN ('deleted', 'failed') AND successor IS NOT NULL;
   CREATE TABLE attempts (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, request_id TEXT NOT NULL UNIQUE, route TEXT NOT NULL, caller TEXT NOT NULL,
     body_hash TEXT NOT NULL, count INTEGER NOT NULL, intent TEXT NOT NULL, begun_at INTEGER NOT NULL,
     answered_at INTEGER, failure TEXT, matched INTEGER NOT NULL DEFAULT 0
   );
   CREATE INDEX attempts_begun ON attempts (begun_at);
   CREATE TABLE subjects (subject TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, used_at INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE unreported_erasures (subject_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE url_lists (id INTEGER PRIMARY KEY, urls TEXT NOT NULL UNIQUE, used_at INTEGER NOT NULL);
   CREATE INDEX url_lists_used ON url_lists (used_at);
   CREATE TABLE credentials (
     seq INTEGER PRIMARY KEY, id TEXT NOT NULL, username TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
     subject_id TEXT, key_uid TEXT NOT NULL, origin TEXT, sealed TEXT, sealed_version INTEGER NOT NULL DEFAULT 1,
     url_list INTEGER NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
     tried_at INTEGER NOT NULL DEFAULT 0
   );
   CREATE INDEX credentials_subject ON credentials (subject_id, expires_at);
   CREATE INDEX credentials_expiry ON credentials (expires_at);
   CREATE INDEX credentials_revoking ON credentials (tried_at, seq) WHERE state = 'revoking';
   CREATE INDEX credentials_revoking_key ON credentials (key_uid, expires_at) WHERE state = 'revoking';
   CREATE TABLE ledger_counts (
     hour INTEGER NOT NULL, key_uid TEXT NOT NULL, up_to INTEGER NOT NULL, counts TEXT NOT NULL,
     PRIMARY KEY (hour, key_uid)
   ) WITHOUT ROWID;
   CREATE TABLE ledger_checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
   CREATE TABLE revocations (
     seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, selector TEXT NOT NULL, matched INTEGER NOT NULL,
     revoked INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
     key_uid TEXT, until_seq INTEGER, last_expiry INTEGER
   );
   CREATE INDEX revocations_bulk ON revocations (last_expiry) WHERE last_expiry IS NOT NULL;
   CREATE TABLE revocation_targets (
     credential INTEGER NOT NULL, revocation INTEGER NOT NULL, expires_at INTEGER NOT NULL,
     PRIMARY KEY (credential, revocation)
   ) WITHOUT ROWID;
   CREATE INDEX revocation_targets_expiry ON revocation_targets (expires_at);
   CREATE TABLE bulk_revocations (
     key_uid TEXT PRIMARY KEY, until_seq INTEGER NOT NULL, marked_seq INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE TABLE bans (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, subject_id TEXT, token_id TEXT,
     until INTEGER NOT NULL, created_at INTEGER NOT NULL, lifted_at INTEGER, ended_at INTEGER
   );
   CREATE INDEX bans_subject ON bans (subject_id, until);
   CREATE INDEX bans_token ON bans (token_id, until);
   CREATE INDEX bans_open ON bans (until) WHERE ended_at IS NULL;
   CREATE INDEX bans_ended ON bans (ended_at) WHERE ended_at IS NOT NULL;
   CREATE TABLE usage_days (
     day TEXT PRIMARY KEY, issued INTEGER NOT NULL DEFAULT 0, reused INTEGER NOT NULL DEFAULT 0,
     revoked INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0
   ) WITHOUT ROWID;
   CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE walks (walk TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
   CREATE TABLE sealed_with (root_key TEXT PRIMARY KEY, since INTEGER NOT NULL, kept_by INTEGER) WITHOUT ROWID;
   CREATE TABLE reseal (
     one INTEGER PRIMARY KEY CHECK (one = 1), number INTEGER NOT NULL, to_key TEXT NOT NULL,
     key_seq INTEGER NOT NULL DEFAULT 0, credential_seq INTEGER NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0,
     unreadable INTEGER NOT NULL DEFAULT 0, finished_at INTEGER
   );${JOBS_TABLE}${IDEMPOTENCY_TABLE}${AUDIT_TABLE}`,
] as const
