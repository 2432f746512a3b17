/** Policies with issuers, as tests of their fields send them. */
import { type Broker, newBroker, newTenant } from '../../support/broker/broker.ts'
import { outcomeOf, shown } from '../../support/broker/contract.ts'

export const GOOD_URL = 'https://login.example/.well-known/jwks.json'
export const right = (changes: object = {}) => ({
  issuer: 'https://login.example',
  audience: 'calls',
  jwksUrl: GOOD_URL,
  algorithms: ['RS256'],
  ...changes,
})
export const byClient = (client: unknown, changes: object = {}) => right({ audience: undefined, client, ...changes })
export const AZP = { claim: 'azp', value: 'web' }
export const inline = (...keys: unknown[]) => right({ jwksUrl: undefined, jwks: { keys } })

export const patch = (broker: Broker, policy: unknown) => broker.admin('PATCH', '/tenants/acme', { policy })

/** Those that are not answered like this, each put into a policy. */
export async function others(outcome: string, broker: Broker, rows: [string, unknown][]): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, issuers] of rows) {
    const answer = await patch(broker, { issuers })
    if (outcomeOf(answer) !== outcome) wrong.push(`${name}: ${shown(answer)}`)
  }
  return wrong
}

export const policyOf = async (broker: Broker) => (await broker.admin('GET', '/tenants/acme')).json.policy

export async function acmeBroker() {
  const broker = newBroker()
  await newTenant(broker, 'acme')
  return broker
}
