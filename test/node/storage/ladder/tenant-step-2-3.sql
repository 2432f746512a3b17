-- Numbers are given without SQLite's sequence, a credential's id ends with its number, and a subject has no number.
CREATE TABLE new_subjects (subject TEXT PRIMARY KEY, id TEXT NOT NULL UNIQUE, used_at INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO new_subjects (subject, id, used_at) SELECT subject, id, used_at FROM subjects;
DROP TABLE subjects;
ALTER TABLE new_subjects RENAME TO subjects;
CREATE TABLE new_url_lists (id INTEGER PRIMARY KEY, urls TEXT NOT NULL UNIQUE, used_at INTEGER NOT NULL);
INSERT INTO new_url_lists (id, urls, used_at) SELECT id, urls, used_at FROM url_lists;
DROP TABLE url_lists;
ALTER TABLE new_url_lists RENAME TO url_lists;
CREATE INDEX url_lists_used ON url_lists (used_at);
-- A seal binds the username from now on: what was sealed with the id is not handed out again.
CREATE TABLE new_credentials (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL, username TEXT NOT NULL UNIQUE, state TEXT NOT NULL,
  subject_id TEXT, key_uid TEXT NOT NULL, origin TEXT, sealed TEXT, sealed_version INTEGER NOT NULL DEFAULT 1,
  url_list INTEGER NOT NULL, issued_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  tried_at INTEGER NOT NULL DEFAULT 0
);
INSERT INTO new_credentials
  (seq, id, username, state, subject_id, key_uid, origin, sealed_version, url_list, issued_at, expires_at, tried_at)
  SELECT seq, substr(id, 1, 13) || printf('%012d', seq), username, state, subject_id, key_uid, origin, sealed_version,
    url_list, issued_at, expires_at, tried_at FROM credentials;
-- The checkpoint also remembers the numbers of pruned rows.
INSERT INTO ledger_checkpoint (one, seq) SELECT 1, seq FROM sqlite_sequence WHERE name = 'credentials'
  ON CONFLICT DO UPDATE SET seq = max(ledger_checkpoint.seq, excluded.seq);
DROP TABLE credentials;
ALTER TABLE new_credentials RENAME TO credentials;
CREATE INDEX credentials_subject ON credentials (subject_id, expires_at);
CREATE INDEX credentials_expiry ON credentials (expires_at);
CREATE INDEX credentials_revoking ON credentials (tried_at, seq) WHERE state = 'revoking';
CREATE INDEX credentials_revoking_key ON credentials (key_uid, expires_at) WHERE state = 'revoking';
CREATE TABLE new_revocations (
  seq INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, selector TEXT NOT NULL, matched INTEGER NOT NULL,
  revoked INTEGER NOT NULL DEFAULT 0, expired INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL,
  key_uid TEXT, until_seq INTEGER, last_expiry INTEGER
);
INSERT INTO new_revocations (seq, id, selector, matched, revoked, expired, created_at, key_uid, until_seq, last_expiry)
  SELECT seq, id, selector, matched, revoked, expired, created_at, key_uid, until_seq, last_expiry FROM revocations;
DROP TABLE revocations;
ALTER TABLE new_revocations RENAME TO revocations;
CREATE INDEX revocations_bulk ON revocations (last_expiry) WHERE last_expiry IS NOT NULL;
CREATE TABLE new_revocation_targets (
  credential INTEGER NOT NULL, revocation INTEGER NOT NULL, expires_at INTEGER NOT NULL,
  PRIMARY KEY (credential, revocation)
) WITHOUT ROWID;
INSERT INTO new_revocation_targets (credential, revocation, expires_at)
  SELECT credential, revocation, expires_at FROM revocation_targets;
DROP TABLE revocation_targets;
ALTER TABLE new_revocation_targets RENAME TO revocation_targets;
CREATE INDEX revocation_targets_expiry ON revocation_targets (expires_at);
CREATE TABLE walks (walk TEXT PRIMARY KEY, place TEXT NOT NULL) WITHOUT ROWID;
DELETE FROM marks WHERE name = 'subjects-walked';
CREATE TABLE new_audit_events (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT,
  subject_id TEXT, outcome TEXT NOT NULL, code TEXT, count INTEGER NOT NULL DEFAULT 1,
  request_id TEXT, origin TEXT, digest TEXT
);
INSERT INTO new_audit_events (seq, at, actor, action, target, subject_id, outcome, code, count, request_id, origin, digest)
  SELECT seq, at, actor, action, target, subject_id, outcome, code, count, request_id, origin, digest FROM audit_events;
DROP TABLE audit_events;
ALTER TABLE new_audit_events RENAME TO audit_events;
