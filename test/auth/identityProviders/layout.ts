/** What a token of an identity provider looks like: header, claims, algorithm and life. Names and values are made up. */
import type { JwtAlgorithm } from '../../../src/contract/policy/issuers.ts'
import type { JwtReason } from '../../../src/contract/policy/jwtReasons.ts'

export interface Layout {
  /** Heading in docs/identity-providers.md, and which of its entries. */
  readonly provider: string
  readonly entry: number
  readonly token: string
  readonly alg: JwtAlgorithm
  readonly header: object
  /** Without times. */
  readonly claims: Readonly<Record<string, unknown>>
  readonly lifeSeconds: number
  readonly subject: string
  /** Changes that a token of this provider may show and is good with. */
  readonly alsoGood?: Readonly<Record<string, object>>
  /** Changes that make it another token of this provider, which is refused. */
  readonly refused?: Readonly<Record<string, readonly [object, JwtReason]>>
}
