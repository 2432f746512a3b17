/** The Tenant's tables. Every column is told in docs/storage.md. Migrations are only ever added. */
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
     begun_at INTEGER NOT NULL, state_at INTEGER NOT NULL, checked_at INTEGER
   );`,
  JOBS_TABLE,
  IDEMPOTENCY_TABLE,
  AUDIT_TABLE,
] as const
