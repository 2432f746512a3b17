/** A mint between its reservation and its commit, as the steps of issuing hand it on. Types only. */
import type { Minted } from '../../cloudflare/credentials.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import type { OpenedKey } from '../turnKeys/secret.ts'
import type { Grant } from './eligibility.ts'

/** Reserved under the limits. */
export interface PendingMint {
  readonly grant: Grant
  /** Chosen at the reservation and kept for the whole mint; `null`: the request names no subject. */
  readonly subjectId: string | null
  /** When the caller must have been answered, in milliseconds since 1970. */
  readonly until: number
  /** Gives the reservation back; only the first call does anything. */
  readonly release: () => void
}

/** Minted upstream, with no row yet. */
export interface CompletedMint extends PendingMint {
  readonly flight: MintInFlight
  readonly key: OpenedKey
  readonly minted: Minted
  /** Just before the request upstream, in milliseconds since 1970. */
  readonly begunAt: number
}
