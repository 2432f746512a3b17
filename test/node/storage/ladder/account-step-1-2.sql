DROP TABLE api_calls;
CREATE TABLE api_calls (
  purpose TEXT NOT NULL, bucket INTEGER NOT NULL, tenant TEXT NOT NULL, calls INTEGER NOT NULL,
PRIMARY KEY (purpose, bucket, tenant)
  ) WITHOUT ROWID;
CREATE INDEX idempotency_target ON idempotency (target, route);
CREATE INDEX issuers_tenant ON issuers (tenant);
CREATE INDEX tenants_there ON tenants (seq) WHERE state <> 'deleted';
CREATE TABLE root_key_counts (root_key TEXT PRIMARY KEY, tenants INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO root_key_counts (root_key, tenants) SELECT root_key, count(*) FROM root_key_uses GROUP BY root_key;
ALTER TABLE reseal_order ADD COLUMN enrolled INTEGER;
ALTER TABLE reseal_order ADD COLUMN tenants INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reseal_order ADD COLUMN done INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reseal_order ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reseal_order ADD COLUMN moved INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reseal_order ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reseal_order ADD COLUMN rows_left INTEGER NOT NULL DEFAULT 0;
ALTER TABLE reseals ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE reseals SET number = coalesce((SELECT max(number) FROM reseal_order), 0);
UPDATE reseal_order SET (tenants, done, failed, moved, unreadable, rows_left) = (
SELECT count(*), coalesce(sum(state = 'done'), 0), coalesce(sum(unreadable > 0), 0), coalesce(sum(moved), 0),
  coalesce(sum(unreadable), 0), coalesce(sum(rows_left), 0) FROM reseals);
CREATE TABLE erasures (
  tenant TEXT NOT NULL, subject_id TEXT NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (tenant, subject_id)
  ) WITHOUT ROWID;
CREATE INDEX erasures_at ON erasures (at);
CREATE TABLE check_keys (
  number INTEGER PRIMARY KEY, sealed TEXT NOT NULL, version INTEGER NOT NULL, signs_from INTEGER NOT NULL
  );
