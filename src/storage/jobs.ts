/**
 * Unfinished work of an object: a row for each job, the alarm at the earliest. A job is put in the transaction of
 * what it belongs to, so that a crash after the commit always leaves somebody to carry on.
 */
import * as log from './log.ts'

export const JOBS_TABLE = `
  CREATE TABLE jobs (
    kind TEXT NOT NULL, key TEXT NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
    stamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
  ) WITHOUT ROWID;
  CREATE INDEX jobs_due ON jobs (due);`

/** How much one alarm does before it lets others in. */
const JOBS_PER_ALARM = 20
const FIRST_BACKOFF_MS = 2_000
const LONGEST_BACKOFF_MS = 3_600_000
/** An alarm this much overdue was dropped by the runtime (it gives up after about six failures). */
const LOST_ALARM_MS = 30_000

/** What a handler says of its job. `retry` backs off exponentially; `again` comes back at its own time. */
export type JobOutcome = 'done' | 'retry' | { readonly againAt: number }

export interface Job {
  readonly key: string
  /** How many times it was tried before. */
  readonly attempt: number
}

/** A handler for every kind of an object: a kind without one does not compile. */
export type JobHandlers<Kind extends string> = Readonly<Record<Kind, (job: Job) => Promise<JobOutcome>>>

interface JobRow extends Record<string, SqlStorageValue> {
  kind: string
  key: string
  attempt: number
  /** Grows when the job is ordered again: what ran meanwhile must not end the newer order. */
  stamp: number
}

/** `Kind`: the kinds of the object; each object lists its own in core/jobKinds.ts. */
export class Jobs<Kind extends string> {
  readonly #storage: DurableObjectStorage
  readonly #now: () => number
  #armedFor: number | null = null

  constructor(storage: DurableObjectStorage, now: () => number) {
    this.#storage = storage
    this.#now = now
  }

  /** Adds or re-times a job. Call inside the transaction of what the job belongs to, then `arm()` after it. */
  put(kind: Kind, key: string, due: number): void {
    this.#storage.sql.exec(
      'INSERT INTO jobs (kind, key, due) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET due = excluded.due, attempt = 0, stamp = stamp + 1',
      kind,
      key,
      due,
    )
  }

  /** Adds a job unless there is one already, whenever that is due. */
  ensure(kind: Kind, key: string, due: number): void {
    this.#storage.sql.exec('INSERT INTO jobs (kind, key, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', kind, key, due)
  }

  /** When the job is due; `undefined`: there is none. */
  dueAt(kind: Kind, key: string): number | undefined {
    const rows = this.#storage.sql.exec<{ due: number }>('SELECT due FROM jobs WHERE kind = ? AND key = ?', kind, key)
    return rows.toArray()[0]?.due
  }

  /** Whether there was one. */
  remove(kind: Kind, key: string): boolean {
    return this.#storage.sql.exec('DELETE FROM jobs WHERE kind = ? AND key = ?', kind, key).rowsWritten > 0
  }

  /** Sets the alarm to the earliest job. Synchronous, so that it joins the commit of the writes before it. */
  arm(): void {
    const due = this.#earliest()
    if (due === null) return
    const lost = this.#armedFor !== null && this.#armedFor < this.#now() - LOST_ALARM_MS
    if (this.#armedFor !== null && this.#armedFor <= due && !lost) return
    this.#armedFor = due
    // Ordered and made durable by the output gate, like every write; a failure resets the object.
    void this.#storage.setAlarm(due)
  }

  /** The alarm's body: a bounded share of the due jobs. Nothing one job does keeps the others from running. */
  async run(handlers: JobHandlers<Kind>): Promise<void> {
    this.#armedFor = null
    try {
      const due = this.#storage.sql
        .exec<JobRow>(
          'SELECT kind, key, attempt, stamp FROM jobs WHERE due <= ? ORDER BY due LIMIT ?',
          this.#now(),
          JOBS_PER_ALARM,
        )
        .toArray()
      await Promise.all(due.map((job) => this.#runOne(handlers, job)))
    } finally {
      this.arm()
    }
  }

  async #runOne(handlers: JobHandlers<Kind>, job: JobRow): Promise<void> {
    let outcome: JobOutcome = 'retry'
    try {
      // A row that an older release left may have a kind that this one does not know.
      const known: Readonly<Record<string, JobHandlers<Kind>[Kind] | undefined>> = handlers
      const handler = known[job.kind]
      if (handler) outcome = await handler({ key: job.key, attempt: job.attempt })
      else log.failure('job_unknown', { job: job.kind })
    } catch (error) {
      log.failure('job_failed', { job: job.kind, attempt: job.attempt }, error)
    }
    this.#settle(job, outcome)
  }

  #settle(job: JobRow, outcome: JobOutcome): void {
    // Re-timed by someone else while it ran: that order stands.
    if (!this.#unchanged(job)) return
    if (outcome === 'done') {
      this.#storage.sql.exec('DELETE FROM jobs WHERE kind = ? AND key = ?', job.kind, job.key)
      return
    }
    const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(job.attempt, 20), LONGEST_BACKOFF_MS)
    this.#storage.sql.exec(
      'UPDATE jobs SET due = ?, attempt = attempt + 1 WHERE kind = ? AND key = ?',
      outcome === 'retry' ? this.#now() + backoff : outcome.againAt,
      job.kind,
      job.key,
    )
  }

  #unchanged(job: JobRow): boolean {
    const { kind, key, stamp } = job
    const rows = this.#storage.sql.exec('SELECT 1 FROM jobs WHERE kind = ? AND key = ? AND stamp = ?', kind, key, stamp)
    return rows.toArray().length > 0
  }

  #earliest(): number | null {
    return this.#storage.sql.exec<{ due: number | null }>('SELECT min(due) AS due FROM jobs').one().due
  }
}
