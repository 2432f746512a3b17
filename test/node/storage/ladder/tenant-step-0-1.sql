-- Notes the root keys of texts that were sealed before root keys were tracked, and orders the report to the Account.
INSERT INTO sealed_with (root_key, since)
  SELECT DISTINCT substr(sealed, 3, instr(substr(sealed, 3), '.') - 1), 0 FROM (
    SELECT sealed FROM turn_keys UNION ALL SELECT sealed FROM credentials) WHERE sealed IS NOT NULL;
INSERT INTO jobs (kind, key, due) SELECT 'mirror', '', 0 WHERE EXISTS (SELECT 1 FROM sealed_with)
  ON CONFLICT DO NOTHING;
