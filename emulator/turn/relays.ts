// What the emulator needs of a TURN server that really runs.
import type { UrlLists } from '../api/iceServers.ts'

/** What a running TURN server cannot know by itself, and the emulator reports to it. */
export interface Sessions {
  end(username: string): void
  endAt(username: string, atMs: number): void
}

/** A TURN server that really runs and shares this secret with the emulator. */
export interface TurnServer extends UrlLists {
  sharedSecret: string
}
