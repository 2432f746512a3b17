-- Numbers are given without SQLite's sequence.
CREATE TABLE new_audit_events (
  seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, target TEXT,
  subject_id TEXT, outcome TEXT NOT NULL, code TEXT, count INTEGER NOT NULL DEFAULT 1,
  request_id TEXT, origin TEXT, digest TEXT
);
INSERT INTO new_audit_events (seq, at, actor, action, target, subject_id, outcome, code, count, request_id, origin, digest)
  SELECT seq, at, actor, action, target, subject_id, outcome, code, count, request_id, origin, digest FROM audit_events;
DROP TABLE audit_events;
ALTER TABLE new_audit_events RENAME TO audit_events;
