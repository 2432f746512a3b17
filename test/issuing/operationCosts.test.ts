/** What each operation costs in rows, statements, commits, RPCs and KV operations: exactly what docs/measured/cost-counts.json says. */
import { expect, it } from 'vitest'
import { MINUTE_MS } from '../support/broker/clock.ts'
import { costOf, type Operation, type OperationCost, type World } from '../support/storage/operationCosts.ts'

const TAKES_MS = 120_000
/** Half of a credential's life of an hour is over: it is not given out again. */
const NO_MORE_REUSED_MS = 31 * MINUTE_MS
/** A credential of an hour has ended: a mint reads the live ones of its subject. */
const ENDED_MS = 61 * MINUTE_MS

const forgedFrom = (token: string) => `${token.slice(0, -4)}${token.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`

const asPage = ({ askAsPage }: World, token: string) => askAsPage(token)

const OPERATIONS: Record<string, Operation> = {
  clientToken: {
    act: ({ post }) => post('/client-tokens', { subject: 'ann', ttl: 3_600 }),
    status: 201,
  },
  mintKnownSubject: {
    before: ({ tokenWithCredential }) => tokenWithCredential(),
    afterMs: NO_MORE_REUSED_MS,
    act: asPage,
    status: 201,
  },
  mintNewSubject: {
    before: ({ newToken }) => newToken(),
    act: asPage,
    status: 201,
  },
  mintForServer: {
    before: async ({ newName, generateFor }) => {
      const name = newName()
      await generateFor(name)
      return name
    },
    afterMs: ENDED_MS,
    act: ({ generateFor }, name) => generateFor(name),
    status: 201,
  },
  repeatFirstInMinute: {
    before: ({ tokenWithCredential }) => tokenWithCredential(),
    afterMs: MINUTE_MS,
    act: asPage,
    status: 201,
  },
  repeatFurther: {
    before: async ({ tokenWithCredential, askAsPage }) => {
      const token = await tokenWithCredential()
      await askAsPage(token)
      return token
    },
    act: asPage,
    status: 201,
  },
  lookUp: {
    before: async ({ lookUp }) => {
      await lookUp()
      return ''
    },
    act: ({ lookUp }) => lookUp(),
    status: 200,
  },
  refusalForged: {
    before: async ({ newToken }) => forgedFrom(await newToken()),
    act: asPage,
    status: 401,
  },
  refusalByTenant: {
    before: ({ tokenOfBanned }) => tokenOfBanned(),
    act: asPage,
    status: 403,
  },
  revocation: {
    before: ({ credentialId }) => credentialId(),
    act: ({ post }, credentialId) => post('/revocations', { credentialId }),
    status: 202,
  },
}

it(
  'Each operation costs exactly what docs/measured/cost-counts.json says, from which docs/measured/cost.md is computed',
  async () => {
    const costs: Record<string, OperationCost> = {}
    for (const [name, operation] of Object.entries(OPERATIONS)) costs[name] = await costOf(name, operation)
    // A change that is meant: npx vitest run -u test/issuing/operationCosts.test.ts, then npm run cost.
    await expect(`${JSON.stringify(costs, null, 2)}\n`).toMatchFileSnapshot('../../docs/measured/cost-counts.json')
  },
  TAKES_MS,
)
