/** The check keys of API tokens as tests order, plant and prove them. */
import { env } from 'cloudflare:workers'
import { CHECK_KEYS_KEY, CheckKeysEntry } from '../../../src/cache/entries.ts'
import { newCheckKey } from '../../../src/crypto/checkKeys.ts'
import { type Broker, expectStatus, keysPath, newBroker } from '../broker/broker.ts'
import { SECOND_MS, until } from '../broker/clock.ts'
import { allowing } from '../broker/doors.ts'
import { K1, ringOf } from '../storage/rings.ts'

export const IN_USE_AFTER_MS = 91 * SECOND_MS
export const PATH = '/token-check'

export const replace = async (broker: Broker) => {
  const answer = await broker.admin('POST', PATH)
  expectStatus(answer, 202)
  return answer.json.keys as { number: number; state: string; rootKey: string }[]
}
/** The Account writes its copy in the background: what is planted before would be overwritten. */
export const plant = async (copy: unknown) => {
  await until('the copy is in KV', async () => (await env.CACHE.get(CHECK_KEYS_KEY)) !== null)
  await env.CACHE.put(CHECK_KEYS_KEY, typeof copy === 'string' ? copy : JSON.stringify(copy))
}
export const copyInKv = async () => CheckKeysEntry.parse(await env.CACHE.get(CHECK_KEYS_KEY, 'json'))
/** A check key as this installation would seal it, and does not have it. */
export const foreignCheckKeyCopy = () => newCheckKey(ringOf(K1), { number: 1, signsFrom: 0 })
export const newToken = async (tenant = 'acme') => {
  const answer = await newBroker().admin('POST', `/tenants/${tenant}/api-tokens`, {
    name: 'n',
    scopes: ['turn_keys:read'],
  })
  expectStatus(answer, 201)
  return String(answer.json.token)
}
export const read = (edge: Broker, token: string) => edge.call('GET', keysPath('acme'), token)
/** A limiter that lets this many of a key through, and all of any other. */
export const allowingOf = (key: string, times: number): RateLimit => {
  const limiter = allowing(times)
  return { limit: (asked) => (asked.key === key ? limiter.limit(asked) : Promise.resolve({ success: true })) }
}
/** Whether a new isolate takes the token the fast way: it is let in with no room for any other. */
export const isProven = async (token: string, broker: (bindings: object) => Broker = newBroker) =>
  (await read(broker({ RATE_UNPROVEN: allowing(0) }), token)).status === 200
