/**
 * Job queue of an object: one row a job, and the alarm set to the earliest one. A job is written in the transaction of
 * the decision that it finishes, so after a crash the alarm resumes the work. Jobs run independently: an alarm waits a
 * second for what it started, and a job that takes longer goes on while later alarms start the others.
 */
import { within } from '../concurrency/deadline.ts'
import * as log from './log.ts'

export const JOBS_TABLE = `
  CREATE TABLE jobs (
    kind TEXT NOT NULL, key TEXT NOT NULL, due INTEGER NOT NULL, attempt INTEGER NOT NULL DEFAULT 0,
    stamp INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (kind, key)
  ) WITHOUT ROWID;
  CREATE INDEX jobs_due ON jobs (due);`

/** Maximum number of jobs that one alarm starts. */
const JOBS_PER_ALARM = 20
/** Maximum number of jobs of one kind under way, so that a slow kind leaves places for the others. */
const OF_A_KIND_AT_ONCE = 10
/** How long an alarm waits for the jobs that it started. */
const ALARM_WAIT_MS = 1_000
/** While a job has outlived its alarm, an alarm is set at most this far ahead: if the object ends, the job runs again. */
const OUTLIVED_MS = 30_000
const FIRST_BACKOFF_MS = 2_000
const LONGEST_BACKOFF_MS = 3_600_000
/** An alarm this much overdue is lost: the runtime gives up after about six failures. */
const LOST_ALARM_MS = 30_000
const EARLIEST_ALARM_MS = 1
/** The longest wait before a refused alarm is set again. */
const LONGEST_ALARM_WAIT_MS = 60_000

/**
 * Result of a handler. `retry`: it failed, again with exponential backoff. `againAt`: again at that time (milliseconds since
 * 1970); `failed`: this run counts as a failure for the wait of the next one.
 */
export type JobOutcome = 'done' | 'retry' | { readonly againAt: number; readonly failed?: true }

export interface Job {
  readonly key: string
  /** Number of failures in a row before this run. */
  readonly attempt: number
}

/** A handler for every kind of an object: a kind without one does not compile. */
export type JobHandlers<Kind extends string> = Readonly<Record<Kind, (job: Job) => Promise<JobOutcome>>>

interface JobRow extends Record<string, SqlStorageValue> {
  kind: string
  key: string
  due: number
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
  /** The jobs under way in this object, by kind and key. */
  readonly #underWay = new Map<string, { readonly kind: string; readonly work: Promise<void> }>()
  /** `due` of the earliest row; `undefined`: it is read when it is next needed. */
  #earliestDue: number | null | undefined
  /** Number of alarms that still wait for their jobs. The runtime repeats an alarm whose object ends meanwhile. */
  #waiting = 0

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
    // The row may have been the earliest one, at another time.
    this.#earliestDue = undefined
  }

  /** Adds a job unless it exists; an existing one keeps its time. */
  ensure(kind: Kind, key: string, due: number): void {
    this.#earliestDue = undefined
    this.#storage.sql.exec('INSERT INTO jobs (kind, key, due) VALUES (?, ?, ?) ON CONFLICT DO NOTHING', kind, key, due)
  }

  /** When the job is due; `undefined`: there is none. */
  dueAt(kind: Kind, key: string): number | undefined {
    const rows = this.#storage.sql.exec<{ due: number }>('SELECT due FROM jobs WHERE kind = ? AND key = ?', kind, key)
    return rows.toArray()[0]?.due
  }

  /** Removes a job. Returns whether it existed. */
  remove(kind: Kind, key: string): boolean {
    this.#earliestDue = undefined
    return this.#storage.sql.exec('DELETE FROM jobs WHERE kind = ? AND key = ?', kind, key).rowsWritten > 0
  }

  /** After a transaction that was rolled back: what was remembered of the rows is read again. */
  forget(): void {
    this.#earliestDue = undefined
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

  /** Number of jobs under way. */
  get underWay(): number {
    return this.#underWay.size
  }

  /**
   * Starts up to 20 due jobs, at most 10 of a kind at once; a job that is still under way is not started again. Resolves when
   * those it started have ended, or after a second. A job that throws does not stop the others.
   */
  async run(handlers: JobHandlers<Kind>): Promise<void> {
    this.#armedFor = null
    this.#waiting++
    try {
      const started = this.#next(this.#now(), JOBS_PER_ALARM).map((job) => this.#start(handlers, job))
      await within(ALARM_WAIT_MS, Promise.all(started), () => undefined)
    } finally {
      this.#waiting--
      this.arm()
    }
  }

  #start(handlers: JobHandlers<Kind>, job: JobRow): Promise<void> {
    const id = idOf(job)
    const work = this.#runOne(handlers, job).finally(() => {
      this.#underWay.delete(id)
      if (this.#waiting === 0) this.arm()
    })
    this.#underWay.set(id, { kind: job.kind, work })
    return work
  }

  /** Up to `limit` jobs that are due by `until` and may be started, the earliest first. */
  #next(until: number, limit: number): JobRow[] {
    const ofKind = new Map<string, number>()
    for (const { kind } of this.#underWay.values()) ofKind.set(kind, (ofKind.get(kind) ?? 0) + 1)
    const full = [...ofKind].filter(([, count]) => count >= OF_A_KIND_AT_ONCE).map(([kind]) => kind)
    const rows = this.#storage.sql
      .exec<JobRow>(
        `SELECT kind, key, due, attempt, stamp FROM jobs
         WHERE due <= ? AND kind NOT IN (SELECT value FROM json_each(?)) ORDER BY due LIMIT ?`,
        until,
        JSON.stringify(full),
        limit + this.#underWay.size,
      )
      .toArray()
    const next: JobRow[] = []
    for (const job of rows) {
      const count = ofKind.get(job.kind) ?? 0
      if (this.#underWay.has(idOf(job)) || count >= OF_A_KIND_AT_ONCE || next.length >= limit) continue
      ofKind.set(job.kind, count + 1)
      next.push(job)
    }
    return next
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
    this.#earliestDue = undefined
    // The job was put again while it ran, so the newer one stays.
    if (!this.#unchanged(job)) return
    if (outcome === 'done') {
      this.#storage.sql.exec('DELETE FROM jobs WHERE kind = ? AND key = ?', job.kind, job.key)
      return
    }
    const backoff = Math.min(FIRST_BACKOFF_MS * 2 ** Math.min(job.attempt, 20), LONGEST_BACKOFF_MS)
    this.#storage.sql.exec(
      'UPDATE jobs SET due = ?, attempt = ? WHERE kind = ? AND key = ?',
      outcome === 'retry' ? this.#now() + backoff : outcome.againAt,
      outcome === 'retry' || outcome.failed ? job.attempt + 1 : 0,
      job.kind,
      job.key,
    )
  }

  #unchanged(job: JobRow): boolean {
    const { kind, key, stamp } = job
    const rows = this.#storage.sql.exec('SELECT 1 FROM jobs WHERE kind = ? AND key = ? AND stamp = ?', kind, key, stamp)
    return rows.toArray().length > 0
  }

  /** When the next job may be started; `null`: nothing is to be done. */
  #earliest(): number | null {
    if (this.#underWay.size === 0) {
      if (this.#earliestDue === undefined)
        this.#earliestDue = this.#storage.sql.exec<{ due: number | null }>('SELECT min(due) AS due FROM jobs').one().due
      return this.#earliestDue
    }
    const due = this.#next(Number.MAX_SAFE_INTEGER, 1)[0]?.due ?? null
    if (this.#waiting > 0) return due
    return Math.min(due ?? Number.POSITIVE_INFINITY, this.#now() + OUTLIVED_MS)
  }
}

const idOf = ({ kind, key }: JobRow): string => `${kind} ${key}`
