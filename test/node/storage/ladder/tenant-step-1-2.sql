CREATE INDEX turn_keys_state ON turn_keys (state);
DROP INDEX credentials_revoking;
CREATE INDEX credentials_revoking ON credentials (tried_at, seq) WHERE state = 'revoking';
CREATE INDEX credentials_revoking_key ON credentials (key_uid, expires_at) WHERE state = 'revoking';
ALTER TABLE revocation_targets ADD COLUMN expires_at INTEGER NOT NULL DEFAULT 0;
UPDATE revocation_targets SET expires_at = coalesce((SELECT expires_at FROM credentials WHERE seq = credential), 0);
CREATE INDEX revocation_targets_expiry ON revocation_targets (expires_at);
CREATE TABLE bulk_revocations (
  key_uid TEXT PRIMARY KEY, until_seq INTEGER NOT NULL, marked_seq INTEGER NOT NULL
  ) WITHOUT ROWID;
ALTER TABLE revocations ADD COLUMN key_uid TEXT;
ALTER TABLE revocations ADD COLUMN until_seq INTEGER;
ALTER TABLE revocations ADD COLUMN last_expiry INTEGER;
CREATE INDEX revocations_bulk ON revocations (last_expiry) WHERE last_expiry IS NOT NULL;
CREATE TABLE ledger_counts (
  hour INTEGER NOT NULL, key_uid TEXT NOT NULL, up_to INTEGER NOT NULL, counts TEXT NOT NULL,
PRIMARY KEY (hour, key_uid)
  ) WITHOUT ROWID;
CREATE TABLE ledger_checkpoint (one INTEGER PRIMARY KEY CHECK (one = 1), seq INTEGER NOT NULL);
CREATE INDEX idempotency_target ON idempotency (target, route);
CREATE TABLE marks (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX turn_keys_ended ON turn_keys (state_at) WHERE state IN ('deleted', 'failed') AND successor IS NULL;
CREATE INDEX turn_keys_replaced ON turn_keys (state_at) WHERE state IN ('deleted', 'failed') AND successor IS NOT NULL;
ALTER TABLE bans ADD COLUMN ended_at INTEGER;
UPDATE bans SET ended_at = lifted_at;
CREATE INDEX bans_open ON bans (until) WHERE ended_at IS NULL;
CREATE INDEX bans_ended ON bans (ended_at) WHERE ended_at IS NOT NULL;
INSERT INTO marks (name, value)
SELECT 'open-bans', count(*) FILTER (WHERE ended_at IS NULL) FROM bans UNION ALL
SELECT 'ended-bans', count(ended_at) FROM bans UNION ALL
SELECT 'revocation-targets', count(*) FROM revocation_targets;
ALTER TABLE url_lists ADD COLUMN used_at INTEGER NOT NULL DEFAULT 0;
UPDATE url_lists SET used_at = coalesce((SELECT max(issued_at) FROM credentials), 0);
CREATE INDEX url_lists_used ON url_lists (used_at);
INSERT INTO jobs (kind, key, due) SELECT 'prune', '', 1 WHERE EXISTS (SELECT 1 FROM tenant) ON CONFLICT DO NOTHING;
CREATE TABLE unreported_erasures (subject_id TEXT PRIMARY KEY, at INTEGER NOT NULL) WITHOUT ROWID;
