/** One mint on its way from its reservation to its commit. */
import type { Minted } from '../../cloudflare/credentials.ts'
import type { MintInFlight } from '../memory/mintInFlight.ts'
import type { OpenedKey } from '../turnKeys/secret.ts'
import type { Standing } from './eligibility.ts'

export interface Minting {
  readonly grounds: Standing
  readonly ttl: number
  readonly subjectId: string | null
  readonly until: number
  readonly release: () => void
}

export interface MintedFor extends Minting {
  readonly flight: MintInFlight
  readonly key: OpenedKey
  readonly minted: Minted
  readonly begunAt: number
}
