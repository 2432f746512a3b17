// What the emulator needs of a TURN server that really runs.
import type { Login, UrlLists } from '../api/iceServers.ts'

/** A TURN server that really runs and learns from the emulator which logins are valid, as Cloudflare's own servers do. */
export interface TurnServer extends UrlLists {
  /** From now on until `untilMs` (like `Date.now()`) the login may allocate. */
  admit(login: Login, untilMs: number): void
  /** From now on the login may not allocate or refresh, and its relays end. */
  dismiss(username: string): void
}
