/**
 * Job queue of an object: one row a job, and the alarm set to the earliest one. A job is written in the transaction of
 * the decision that it finishes, so after a crash the alarm resumes the work.
 */
import * as log from './log.ts'

export const JOBS_TABLE = `
  CREATE TABLE jobs (
    kind TEXT NOT NULL, key TEXT NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
    stamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
  ) WITHOUT ROWID;
  CREATE INDEX jobs_due ON jobs (due);`

/** Maximum number of jobs in one alarm. */
const JOBS_PER_ALARM = 20
const FIRST_BACKOFF_MS = 2_000
const LONGEST_BACKOFF_MS = 3_600_000
/** An alarm this much overdue is lost: the runtime gives up after about six failures. */
const LOST_ALARM_MS = 30_000
const EARLIEST_ALARM_MS = 1
/** The longest wait before a refused alarm is set again. */
const LONGEST_ALARM_WAIT_MS = 60_000

/** Result of a handler. `retry`: again with exponential backoff. `againAt`: again at that time. */
export type JobOutcome = 'done' | 'retry' | { readonly againAt: number }

export interface Job {
  readonly key: string
  /** Number of earlier attempts. */
  readonly attempt: number
}

/** A handler for every kind of an object: a kind without one does not compile. */
export type JobHandlers<Kind extends string> = Readonly<Record<Kind, (job: Job) => Promise<JobOutcome>>>

interface JobRow extends Record<string, SqlStorageValue> {
  kind: string
  key: string
  attempt: number
  /** Increases when the job is put again, so that a run that began before does not remove the newer job. */
  stamp: number
}

/** `Kind`: the kinds of the object; each object lists its own in core/jobKinds.ts. */
export class Jobs<Kind extends string> {
  readonly #storage: DurableObjectStorage
  readonly #now: () => number
  #armedFor: number | null = null
  /** How often in a row the runtime refused to set the alarm. */
  #refusals = 0

  constructor(storage: DurableObjectStorage, now: () => number) {
    this.#storage = storage
    this.#now = now
  }

  /** Adds or reschedules a job. Call it inside the transaction of the decision, and `arm()` after it. */
  put(kind: Kind, key: string, due: number): void {
    this.#storage.sql.exec(
      'INSERT INTO jobs (kind, key, due) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET due = excluded.due, attempt = 0, stamp = stamp + 1',
      kind,
      key,
      due,
    )
  }

  /** Adds a job unless it exists; an existing one keeps its time. */
  ensure(kind: Kind, key: string, due: number): void {
    this.#storage.sql.exec('INSERT INTO jobs (kind, key, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', kind, key, due)
  }

  /** When the job is due; `undefined`: there is none. */
  dueAt(kind: Kind, key: string): number | undefined {
    const rows = this.#storage.sql.exec<{ due: number }>('SELECT due FROM jobs WHERE kind = ? AND key = ?', kind, key)
    return rows.toArray()[0]?.due
  }

  /** Removes a job. Returns whether it existed. */
  remove(kind: Kind, key: string): boolean {
    return this.#storage.sql.exec('DELETE FROM jobs WHERE kind = ? AND key = ?', kind, key).rowsWritten > 0
  }

  /** Sets the alarm to the earliest job. Synchronous, so that the alarm commits together with the writes before it. */
  arm(): void {
    const due = this.#earliest()
    if (due === null) return
    const lost = this.#armedFor !== null && this.#armedFor < this.#now() - LOST_ALARM_MS
    if (this.#armedFor !== null && this.#armedFor <= due && !lost) return
    this.#armedFor = due
    // Not awaited, so that it joins the commit of the writes before it. The runtime refuses times that are not positive.
    this.#storage.setAlarm(Math.max(due, EARLIEST_ALARM_MS)).then(
      () => {
        this.#refusals = 0
      },
      (error: unknown) => this.#alarmRefused(due, error),
    )
  }

  /** Without an alarm nothing wakes the object: it tries again by itself, and whenever it is called. */
  #alarmRefused(due: number, error: unknown): void {
    log.failure('alarm_refused', { attempt: this.#refusals }, error)
    if (this.#armedFor === due) this.#armedFor = null
    const waitMs = Math.min(FIRST_BACKOFF_MS * 2 ** this.#refusals, LONGEST_ALARM_WAIT_MS)
    this.#refusals++
    setTimeout(() => this.arm(), waitMs)
  }

  /** Runs up to 20 due jobs in parallel. A job that throws does not stop the others. */
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
    // The job was put again while it ran, so the newer one stays.
    if (!this.#unchanged(job)) return
    if (outcome === 'done') {
      this.#storage.sql.exec('DELETE FROM jobs WHERE kind = ? AND key = ?', job.kind, job.key)
      return
    }
    const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(job.attempt, 20), LONGEST_BACKOFF_MS)
    this.#storage.sql.exec(
      // One attempt more than this run saw, so that two runs at once count as one.
      'UPDATE jobs SET due = ?, attempt = ? WHERE kind = ? AND key = ?',
      outcome === 'retry' ? this.#now() + backoff : outcome.againAt,
      job.attempt + 1,
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
