/**
 * `Idempotency-Key` records of an object: which request a key stands for and what was answered.
 * Scoped to the route and the object, bound to the body's hash, kept 24 h. Answers without secrets only.
 */
import { BrokerError } from '../errors.ts'

export const IDEMPOTENCY_TABLE = `
  CREATE TABLE idempotency (
    route TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL, target TEXT NOT NULL,
    answer TEXT, created_at INTEGER NOT NULL,
    PRIMARY KEY (route, key)
  ) WITHOUT ROWID;
  CREATE INDEX idempotency_created ON idempotency (created_at);`

const KEPT_MS = 24 * 3_600_000

export interface IdempotencyKey {
  readonly key: string
  /** SHA-256 of the request's body: the same key with another body is refused. */
  readonly bodyHash: string
}

export interface EarlierRequest {
  /** The record the first request made, e.g. a creation's intent. */
  readonly target: string
  /** JSON of what was answered; `null` while nothing final was. */
  readonly answer: string | null
}

export class Idempotency {
  readonly #sql: SqlStorage
  readonly #now: () => number

  constructor(sql: SqlStorage, now: () => number) {
    this.#sql = sql
    this.#now = now
  }

  /** The earlier request with this key, if any. Throws `idempotency_mismatch` when its body was another. */
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
    if (row.body_hash !== bodyHash) throw new BrokerError('idempotency_mismatch')
    return { target: row.target, answer: row.answer }
  }

  /** Records the first request; also forgets what is past its time, so that the table stays bounded. */
  begin(route: string, { key, bodyHash }: IdempotencyKey, target: string): void {
    this.#sql.exec('DELETE FROM idempotency WHERE created_at <= ?', this.#now() - KEPT_MS)
    this.#sql.exec(
      'INSERT INTO idempotency (route, key, body_hash, target, created_at) VALUES (?, ?, ?, ?, ?)',
      route,
      key,
      bodyHash,
      target,
      this.#now(),
    )
  }

  /** The final answer of whatever request made `target`. Never a secret. */
  finish(route: string, target: string, answer: unknown): void {
    this.#sql.exec(
      'UPDATE idempotency SET answer = ? WHERE route = ? AND target = ?',
      JSON.stringify(answer),
      route,
      target,
    )
  }

  /** As `forget`, but what was answered for good stays. */
  forgetUnanswered(route: string, target: string): void {
    this.#sql.exec('DELETE FROM idempotency WHERE route = ? AND target = ? AND answer IS NULL', route, target)
  }

  /** Lets the same key begin anew: the first request came to nothing and repeating it is the cure. */
  forget(route: string, target: string): void {
    this.#sql.exec('DELETE FROM idempotency WHERE route = ? AND target = ?', route, target)
  }
}
