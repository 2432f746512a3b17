// The logins that coturn accepts, with the time each ends: rows of coturn's own SQLite database, where it looks up the key of a
// long-term credential when an allocation is made. Must be opened before coturn starts. Ends no relay.
import { createHash } from 'node:crypto'
import { DatabaseSync } from 'node:sqlite'
import type { Login } from '../api/iceServers.ts'

/** As in coturn's schema.sql. coturn creates its tables only where they are missing. */
const TABLE = `CREATE TABLE IF NOT EXISTS turnusers_lt (
  realm varchar(127) default '', name varchar(512), hmackey char(128), PRIMARY KEY (realm, name))`

const BUSY_MS = 5_000

export class Logins {
  readonly #database: DatabaseSync
  readonly #realm: string
  readonly #endsMs = new Map<string, number>()

  constructor(file: string, realm: string) {
    this.#database = new DatabaseSync(file)
    this.#realm = realm
    // With a write-ahead log coturn reads while this process writes. It writes itself at its start only: that is waited for.
    this.#database.exec(`PRAGMA busy_timeout = ${BUSY_MS}; PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF`)
    this.#database.exec(TABLE)
  }

  add({ username, credential }: Login, endsMs: number): void {
    this.#endsMs.set(username, endsMs)
    const key = createHash('md5').update(`${username}:${this.#realm}:${credential}`).digest('hex')
    const insert = 'INSERT OR REPLACE INTO turnusers_lt (realm, name, hmackey) VALUES (?, ?, ?)'
    this.#database.prepare(insert).run(this.#realm, username, key)
  }

  remove(username: string): void {
    this.#endsMs.delete(username)
    this.#database.prepare('DELETE FROM turnusers_lt WHERE realm = ? AND name = ?').run(this.#realm, username)
  }

  removeExpired(nowMs: number): void {
    for (const [username, endsMs] of this.#endsMs) if (endsMs <= nowMs) this.remove(username)
  }

  has(username: string): boolean {
    return this.#endsMs.has(username)
  }

  close(): void {
    this.#database.close()
  }
}
