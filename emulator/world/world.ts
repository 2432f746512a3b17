// Everything one running emulator consists of, and how it is set back. No rules of its own.

import { Sha256Memo } from '../api/hex.ts'
import { RateCounter } from '../api/rateLimit.ts'
import { FaultQueue } from '../faults/faults.ts'
import { Holds } from '../faults/holds.ts'
import { RequestLog } from '../http/requestLog.ts'
import type { TurnServer } from '../turn/relays.ts'
import { Settings } from './settings.ts'
import { type Credential, type Snapshot, State } from './state.ts'

export interface EmulatorOptions {
  now?: () => number
  /** What an earlier run remembered. */
  state?: Snapshot
  /** The only accepted account token; without it any non-empty bearer is. */
  apiToken?: string
  /** A TURN server that really runs. */
  turn?: TurnServer
  /** Called after every change of the state, before the request is answered. */
  onChange?: (snapshot: Snapshot) => void
}

/** One API request, parsed. Absent path parameters are ''. */
export interface Call {
  account: string
  uid: string
  username: string
  bearer: string | null
  body: unknown
}

export class World {
  readonly log = new RequestLog()
  readonly faults = new FaultQueue()
  readonly holds = new Holds()
  readonly bearerHashes = new Sha256Memo()
  readonly rate = new RateCounter()
  readonly state: State
  readonly apiToken: string | null
  readonly turn: TurnServer | null
  settings: Settings = Settings.parse({})
  /** Raised by a reset: a request that was waiting then must no longer take effect. */
  epoch = 0
  readonly realNowMs: () => number

  constructor(options: EmulatorOptions) {
    this.realNowMs = options.now ?? Date.now
    this.apiToken = options.apiToken ?? null
    this.turn = options.turn ?? null
    this.state = new State(options.state, () => options.onChange?.(this.state.snapshot(this.nowMs())))
    for (const credential of this.state.credentials()) if (credential.revokedMs === null) this.admit(credential)
  }

  nowMs(): number {
    return this.realNowMs() + this.settings.clockOffsetMs
  }

  /** Tells the TURN server, whose clock is the real one. */
  admit(credential: Pick<Credential, 'username' | 'credential' | 'expiresAtMs'>): void {
    this.turn?.admit(credential, credential.expiresAtMs - this.settings.clockOffsetMs)
  }

  reset(): void {
    for (const { username } of this.state.credentials()) this.turn?.dismiss(username)
    this.epoch += 1
    this.settings = Settings.parse({})
    this.faults.clear()
    this.rate.clear()
    this.holds.releaseAll()
    this.state.clear()
    this.log.clear()
  }
}
