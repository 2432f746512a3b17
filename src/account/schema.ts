/** The Account's tables; docs/storage.md describes every column. Migrations are appended and never edited. */
import { AUDIT_TABLE } from '../storage/audit.ts'
import { IDEMPOTENCY_TABLE } from '../storage/idempotency.ts'
import { JOBS_TABLE } from '../storage/jobs.ts'

export const MIGRATIONS = [
  `CREATE TABLE tenants (
     seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, name TEXT NOT NULL, region TEXT NOT NULL,
     state TEXT NOT NULL, version INTEGER NOT NULL DEFAULT 0, policy TEXT,
     created_at INTEGER NOT NULL, deleted_at INTEGER
   );
   CREATE INDEX tenants_there ON tenants (seq) WHERE state <> 'deleted';
   CREATE TABLE turn_key_owners (uid TEXT PRIMARY KEY, tenant TEXT NOT NULL, claimed_at INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX turn_key_owners_tenant ON turn_key_owners (tenant);
   CREATE TABLE api_calls (
     purpose TEXT NOT NULL, bucket INTEGER NOT NULL, tenant TEXT NOT NULL, calls INTEGER NOT NULL,
     PRIMARY KEY (purpose, bucket, tenant)
   ) WITHOUT ROWID;
   CREATE TABLE issuers (
     issuer TEXT NOT NULL, audience TEXT NOT NULL, tenant TEXT NOT NULL, PRIMARY KEY (issuer, audience)
   ) WITHOUT ROWID;
   CREATE INDEX issuers_tenant ON issuers (tenant);
   CREATE TABLE creations (intent TEXT PRIMARY KEY, tenant TEXT NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
   CREATE INDEX creations_at ON creations (at);
   CREATE TABLE upstream (
     one INTEGER PRIMARY KEY CHECK (one = 1), calls_left INTEGER, resets_at INTEGER,
     blocked_until INTEGER, probe_until INTEGER, keys INTEGER, listed_at INTEGER
   );
   INSERT INTO upstream (one) VALUES (1);
   CREATE TABLE sweep (
     one INTEGER PRIMARY KEY CHECK (one = 1), state TEXT NOT NULL DEFAULT 'never', begun_at INTEGER, ended_at INTEGER,
     next TEXT NOT NULL DEFAULT '', asked INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
     checks_left INTEGER NOT NULL DEFAULT 0
   );
   INSERT INTO sweep (one) VALUES (1);
   CREATE TABLE findings (
     uid TEXT PRIMARY KEY, class TEXT NOT NULL, tenant TEXT, since INTEGER NOT NULL, run INTEGER NOT NULL
   ) WITHOUT ROWID;
   CREATE INDEX findings_tenant ON findings (tenant);
   CREATE TABLE root_key_uses (
     root_key TEXT NOT NULL, tenant TEXT NOT NULL, noted_at INTEGER NOT NULL, PRIMARY KEY (root_key, tenant)
   ) WITHOUT ROWID;
   CREATE INDEX root_key_uses_tenant ON root_key_uses (tenant);
   CREATE TABLE root_key_counts (root_key TEXT PRIMARY KEY, tenants INTEGER NOT NULL) WITHOUT ROWID;
   CREATE TABLE root_keys_front (root_key TEXT PRIMARY KEY, until INTEGER) WITHOUT ROWID;
   CREATE TABLE reseal_order (
     number INTEGER PRIMARY KEY, to_key TEXT NOT NULL, ordered_at INTEGER NOT NULL, enrolled INTEGER,
     tenants INTEGER NOT NULL DEFAULT 0, done INTEGER NOT NULL DEFAULT 0, failed INTEGER NOT NULL DEFAULT 0,
     moved INTEGER NOT NULL DEFAULT 0, unreadable INTEGER NOT NULL DEFAULT 0, rows_left INTEGER NOT NULL DEFAULT 0
   );
   CREATE TABLE reseals (
     tenant TEXT PRIMARY KEY, state TEXT NOT NULL DEFAULT 'waiting', moved INTEGER NOT NULL DEFAULT 0,
     unreadable INTEGER NOT NULL DEFAULT 0, rows_left INTEGER NOT NULL DEFAULT 0, number INTEGER NOT NULL DEFAULT 0
   ) WITHOUT ROWID;
   CREATE TABLE erasures (
     tenant TEXT NOT NULL, subject_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tenant, subject_id)
   ) WITHOUT ROWID;
   CREATE INDEX erasures_at ON erasures (at);
   CREATE TABLE check_keys (
     number INTEGER PRIMARY KEY, sealed TEXT NOT NULL, version INTEGER NOT NULL, signs_from INTEGER NOT NULL
   );${JOBS_TABLE}${IDEMPOTENCY_TABLE}${AUDIT_TABLE}`,
  // An issuer is claimed with an audience, or with a claim that names the client.
  `ALTER TABLE issuers RENAME TO audiences;
   CREATE TABLE issuers (
     issuer TEXT NOT NULL, claim TEXT NOT NULL, value TEXT NOT NULL, tenant TEXT NOT NULL,
     PRIMARY KEY (issuer, claim, value)
   ) WITHOUT ROWID;
   INSERT INTO issuers (issuer, claim, value, tenant) SELECT issuer, 'aud', audience, tenant FROM audiences;
   DROP TABLE audiences;
   CREATE INDEX issuers_tenant ON issuers (tenant);`,
] as const
