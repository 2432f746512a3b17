/** One mint on its way from its reservation to its commit. */
import type { Minted } from '../../cloudflare/credentials.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import type { OpenedKey } from '../turnKeys/secret.ts'
import type { Eligibility } from './eligibility.ts'

export interface PendingMint {
  readonly eligibility: Eligibility
  readonly ttl: number
  readonly subjectId: string | null
  readonly until: number
  readonly release: () => void
}

export interface CompletedMint extends PendingMint {
  readonly flight: MintInFlight
  readonly key: OpenedKey
  readonly minted: Minted
  readonly begunAt: number
}
