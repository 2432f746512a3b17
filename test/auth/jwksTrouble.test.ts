/** Providers that answer badly, late or never: their own users are refused in time, and no other user notices. */
import { exports } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { PlayedAnswer } from '../node/support/playedAnswer.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, newBroker, ORIGIN } from '../support/broker/broker.ts'
import { passTime, SECOND_MS, until, within } from '../support/broker/clock.ts'
import { askIceServers, iceServersPath, served } from '../support/broker/doors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { issuerAt, jwtOf, newKey, playedProvider } from '../support/secrets/idp.ts'
import { expectOutcome, tally } from '../support/tenants/issuing.ts'

const MINT_DEADLINE_MS = 5 * SECOND_MS

const key = await newKey('good')
const keys = [key.jwk]
const set = JSON.stringify({ keys })
const spare = Array.from({ length: 50 }, (_, at) => ({ kty: 'EC', kid: `spare-${at}` }))

/** Each holds the right key wherever it can: it is for what is wrong with it that it is not taken. */
const TROUBLES: Record<string, PlayedAnswer> = {
  hangs: { instead: 'hang' },
  drips: { instead: 'drip' },
  floods: { instead: 'flood' },
  'comes too late': { body: set, afterMs: 3_500 },
  'breaks off': { instead: 'reset' },
  'is HTML': { body: `<html>${set}</html>`, headers: { 'content-type': 'text/html' } },
  'is a 500': { status: 500, body: set },
  'is a 404': { status: 404, body: set },
  'is a 201': { status: 201, body: set },
  'is a 206': { status: 206, body: set },
  'has no byte': {},
  'has 64 KiB and a byte': { body: set.padEnd(65_537) },
  'has 51 keys': { body: JSON.stringify({ keys: [...spare, key.jwk] }) },
  'is nested deeply': { body: `{"keys":[${set.slice(9, -2)}],"x":${'['.repeat(30_000)}` },
  'is cut short': { body: set.slice(0, -1) },
  'is a list': { body: JSON.stringify(keys) },
  'is a map': { body: JSON.stringify({ keys: { 0: key.jwk } }) },
  'is in the prototype': { body: `{"__proto__":${set}}` },
  'repeats a name': { body: `{"keys":[],${set.slice(1)}` },
  'is null': { body: 'null' },
  'is empty': { body: '{"keys":[]}' },
  'is no UTF-8': { body: set, headers: { 'content-encoding': 'gzip' } },
}

/** Tenants whose providers are in these troubles, as many as a policy holds. */
async function troubled(broker: Broker, id: string, troubles: PlayedAnswer[]) {
  const providers = troubles.map(() => playedProvider())
  await Promise.all(troubles.map((trouble, at) => providers[at]?.answers(trouble)))
  const issuers = providers.map((provider, at) => issuerAt(provider, { audience: `${id}-${at}` }))
  const tenant = await served(broker, id, { policy: { issuers } })
  await Promise.all(providers.map((provider) => provider.forget()))
  const tokens = await Promise.all(issuers.map(({ audience }) => jwtOf(key, { aud: audience })))
  return { ...tenant, providers, tokens, asks: tokens.map((token) => () => askIceServers(broker, id, token)) }
}

describe('a key set that', () => {
  it('A key set that cannot be had or used is refused in time, asked for no more in the cool-down, and good once it is mended', async () => {
    const broker = newBroker()
    const names = Object.keys(TROUBLES)
    const answers = Object.values(TROUBLES)
    const [calm, ...others] = await Promise.all([
      troubled(broker, 'calm', [{ body: set }]),
      troubled(broker, 'acme', answers.slice(0, 10)),
      troubled(broker, 'globex', answers.slice(10, 20)),
      troubled(broker, 'initech', answers.slice(20)),
    ])
    const asks = others.flatMap((other) => other.asks)
    const providers = others.flatMap((other) => other.providers)
    const askAll = async () => tally(await Promise.all(asks.map((ask) => ask())))

    let over = false
    const refused = within(MINT_DEADLINE_MS, 'callers whose key set hangs are refused', askAll())
    const first = Promise.race([asks[0]?.(), asks[1]?.()]).finally(() => {
      over = true
    })
    expect(tally(await Promise.all(calm.asks.map((ask) => ask())))).toEqual({ '201': 1 })
    expect(over, 'another tenant was served while a set that hangs was waited for').toBe(false)
    expect(await refused).toEqual({ '401 invalid_token': names.length })
    expectOutcome((await first) as Answer, '401 invalid_token') // both are asked

    for (const provider of providers) await provider.serves(key.jwk)
    expect(await askAll()).toEqual({ '401 invalid_token': names.length })
    for (const [at, provider] of providers.entries()) expect(await provider.asked(), names[at]).toHaveLength(1)
    expect(await countAsked('generate-ice-servers')).toBe(1)
    passTime(61 * SECOND_MS)
    expect(await askAll()).toEqual({ '201': names.length })
  })

  it('G11: A key set that comes late leaves the mint only what is left of the deadline', async () => {
    // The Worker itself: its answer comes before the mint has ended, which the Tenant carries on with.
    const worker = (exports as unknown as { default: Fetcher }).default // the entry's default export
    const { tokens } = await troubled(newBroker(), 'acme', [{ body: set, afterMs: 2_500 }])
    await emulator.hold('generate-ice-servers', 'mint', { times: 'always' })
    const headers = { authorization: `Bearer ${tokens[0]}` }
    const asked = worker.fetch(`${ORIGIN}${iceServersPath('acme')}`, { method: 'POST', headers })
    const answer = await within(MINT_DEADLINE_MS + SECOND_MS, 'the mint is answered', asked)
    expect(await answer.json()).toMatchObject({ status: 504, code: 'upstream_timeout' })
    await emulator.release('mint')
  })

  it('A key set that one caller asked for is there for the others, though that caller hangs up', async () => {
    // The Worker itself: each request is one of its own for the runtime, as it is in production.
    const worker = (exports as unknown as { default: Fetcher }).default // the entry's default export
    const id = `waits-${crypto.randomUUID().slice(0, 8)}`
    const { providers, tokens } = await troubled(newBroker(), id, [{ body: set, afterMs: 800 }])
    const asked = () => providers[0]?.asked()
    const post = (signal: AbortSignal | null) =>
      worker.fetch(`${ORIGIN}${iceServersPath(id)}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${tokens[0]}` },
        signal,
      })
    const hangingUp = new AbortController()
    const first = post(hangingUp.signal).then(
      () => 'answered',
      () => 'gone',
    )
    await until('the key set was asked for', async () => (await asked())?.length === 1)
    const second = post(null)
    await new Promise((resolve) => setTimeout(resolve, 100))
    hangingUp.abort()
    expect(await first).toBe('gone')
    const answer = await second
    expect(answer.status, await answer.text()).toBe(201)
    expect(await asked()).toHaveLength(1)
  })
})
