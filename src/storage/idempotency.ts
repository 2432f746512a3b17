/**
 * `Idempotency-Key` records of an object: the target of the first request with a key, and its answer. A record is
 * scoped to route and object, bound to the body's hash, and kept for 24 h. Must not store an answer with a secret.
 */
import { BrokerError } from '../errors.ts'

export const IDEMPOTENCY_TABLE = `
  CREATE TABLE idempotency (
    route TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL, target TEXT NOT NULL,
    answer TEXT, created_at INTEGER NOT NULL,
    PRIMARY KEY (route, key)
  ) WITHOUT ROWID;
  CREATE INDEX idempotency_created ON idempotency (created_at);
  CREATE INDEX idempotency_target ON idempotency (target, route);`

const KEPT_MS = 24 * 3_600_000

export interface IdempotencyKey {
  readonly key: string
  /** Keyed hash of the request's body, `{root key id}.{mac}`. The same key with another body is refused. */
  readonly bodyHash: string
}

export interface EarlierRequest {
  /** Id of what the first request made, for example a creation's intent. */
  readonly target: string
  /** The answer as JSON; `null` until there is a final one. */
  readonly answer: string | null
}

/** Hashes under different root keys cannot be compared: after a change of the root key the key alone decides, for 24 h. */
const isOtherBody = (stored: string, given: string): boolean =>
  stored !== given && rootKeyOf(stored) === rootKeyOf(given)

const rootKeyOf = (hash: string): string => hash.slice(0, hash.indexOf('.'))

export class Idempotency {
  readonly #sql: SqlStorage
  readonly #now: () => number

  constructor(sql: SqlStorage, now: () => number) {
    this.#sql = sql
    this.#now = now
  }

  /** The earlier request with this key, if any. Throws `idempotency_mismatch` if its body was different. */
  find(route: string, { key, bodyHash }: IdempotencyKey): EarlierRequest | undefined {
    const [row] = this.#sql
      .exec<{ body_hash: string; target: string; answer: string | null }>(
        'SELECT body_hash, target, answer FROM idempotency WHERE route = ? AND key = ? AND created_at > ?',
        route,
        key,
        this.#now() - KEPT_MS,
      )
      .toArray()
    if (!row) return
    if (isOtherBody(row.body_hash, bodyHash)) throw new BrokerError('idempotency_mismatch')
    return { target: row.target, answer: row.answer }
  }

  /** Records the first request. A record with this key that has expired is replaced. */
  begin(route: string, { key, bodyHash }: IdempotencyKey, target: string): void {
    this.#sql.exec(
      `INSERT INTO idempotency (route, key, body_hash, target, created_at) VALUES (?, ?, ?, ?, ?)
       ON CONFLICT DO UPDATE SET body_hash = excluded.body_hash, target = excluded.target, answer = NULL,
         created_at = excluded.created_at`,
      route,
      key,
      bodyHash,
      target,
      this.#now(),
    )
  }

  /** Deletes the oldest expired records, `atMost` of them, for the pruning job. Returns how many were deleted. */
  forgetExpired(atMost: number): number {
    const expired = this.#sql
      .exec<{ route: string; key: string }>(
        'SELECT route, key FROM idempotency WHERE created_at <= ? ORDER BY created_at LIMIT ?',
        this.#now() - KEPT_MS,
        atMost,
      )
      .toArray()
    for (const { route, key } of expired) {
      this.#sql.exec('DELETE FROM idempotency WHERE route = ? AND key = ?', route, key)
    }
    return expired.length
  }

  /** Stores the final answer of the request that made `target`. Must not contain a secret. */
  finish(route: string, target: string, answer: unknown): void {
    this.#sql.exec(
      'UPDATE idempotency INDEXED BY idempotency_target SET answer = ? WHERE route = ? AND target = ?',
      JSON.stringify(answer),
      route,
      target,
    )
  }

  /** Like `forget`, but keeps a record that has a final answer. */
  forgetUnanswered(route: string, target: string): void {
    this.#sql.exec(
      'DELETE FROM idempotency INDEXED BY idempotency_target WHERE route = ? AND target = ? AND answer IS NULL',
      route,
      target,
    )
  }

  /** Deletes the record, so that a repeat with the same key runs again: the first request had no effect. */
  forget(route: string, target: string): void {
    this.#sql.exec(
      'DELETE FROM idempotency INDEXED BY idempotency_target WHERE route = ? AND target = ?',
      route,
      target,
    )
  }
}
