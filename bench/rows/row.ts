// What a row of the benchmark is, and what an experiment has to work with.
import type { Contender, Load, Sample } from '../load/drive.ts'
import type { LightUpstream } from '../load/upstream.ts'
import type { PlainBroker } from '../runtime/broker.ts'
import type { Peers } from '../runtime/peers.ts'
import type { BenchTenant } from './tenant.ts'

export interface Row {
  readonly id: string
  readonly title: string
  /** `×`: a ratio to a peer of the same rounds. */
  readonly unit: '×' | '/s' | 'ms' | 'bytes'
  readonly better: 'lower' | 'higher'
  /** The bar, and what we would like. */
  readonly must?: number
  readonly aim?: number
}

export interface Finding {
  readonly row: string
  /** One value a round, in the row's unit. */
  readonly rounds: readonly number[]
  /** The same of partytracks, where it does the like. */
  readonly partytracks?: readonly number[]
  /** The plain figures behind the value, for people. */
  readonly behind: string
}

export interface Effort {
  readonly rounds: number
  /** Of one contender's turn in a round. */
  readonly seconds: number
  /** Rows in the large ledger of the restart. */
  readonly liveCredentials: number
  readonly quick: boolean
}

/** What the experiments share: one broker, its peers and the upstream of both. Each part starts when it is first asked for. */
export interface Lab {
  readonly effort: Effort
  /** The processor of the runtime, where there are two. */
  readonly core: number | undefined
  upstream(): Promise<LightUpstream>
  broker(): Promise<PlainBroker>
  peers(): Promise<Peers>
  /** The tenant that most rows use; its limits are out of the way. */
  tenant(): Promise<BenchTenant>
  /** One round; says when requests failed. */
  drive(contender: Contender, load: Load): Promise<Sample>
  /** A line for the terminal. */
  say(line: string): void
}

export interface Experiment {
  readonly rows: readonly Row[]
  /** May leave out a row that cannot be measured here, and then says why. */
  run(lab: Lab): Promise<Finding[]>
}
