/** G10: of upstream's two hosts only what was meant is asked, whatever they answer: no redirect, bounded bytes and time. */

import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { FaultOrderInput, Operation } from '../../emulator/client.ts'
import { credentialsApi } from '../../src/cloudflare/credentials.ts'
import type { Upstream } from '../../src/cloudflare/exchange.ts'
import { type TurnKeysApi, turnKeysApi } from '../../src/cloudflare/turnKeys.ts'
import { within } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'

const ACCOUNT = 'a'.repeat(32)
const KIB = 1_024

/** Everything that is ever asked of upstream, as the objects ask it. */
type Asked = Exclude<Operation, 'generate'>
interface World {
  readonly keys: TurnKeysApi
  readonly credentials: ReturnType<typeof credentialsApi>
  readonly key: { readonly uid: string; readonly secret: string }
  /** Of a credential that is live. */
  readonly username: string
}
const OPERATIONS: Record<Asked, (it: World, deadlineMs: number) => Promise<{ kind: string }>> = {
  list: ({ keys }, deadlineMs) => keys.list(deadlineMs),
  create: ({ keys }, deadlineMs) => keys.create('name', deadlineMs),
  get: ({ keys, key }, deadlineMs) => keys.get(key.uid, deadlineMs),
  update: ({ keys, key }, deadlineMs) => keys.update(key.uid, 'name', deadlineMs),
  delete: ({ keys, key }, deadlineMs) => keys.remove(key.uid, deadlineMs),
  'generate-ice-servers': ({ credentials, key }, deadlineMs) =>
    credentials.mint(key, { ttlSeconds: 60, customIdentifier: undefined }, deadlineMs),
  revoke: ({ credentials, key, username }, deadlineMs) => credentials.revoke(key, username, deadlineMs),
}
/** Bytes that are read of an answer; 64 KiB of any other. */
const BOUNDS: Partial<Record<Asked, number>> = {
  list: 4 * 1_024 * 1_024,
  'generate-ice-servers': 16 * 1_024,
  revoke: 16 * 1_024,
}
const operations = Object.entries(OPERATIONS) as [Asked, (typeof OPERATIONS)[Asked]][] // Object.entries forgets the names

/** The two clients as the objects build them, with a key that is there. */
async function world(upstream: Partial<Upstream> = {}): Promise<World> {
  const base = env.EMULATOR_URL
  const config = {
    apiUrl: `${base}/client/v4`,
    rtcUrl: `${base}/v1`,
    accountId: ACCOUNT,
    callsApiToken: env.CALLS_API_TOKEN,
  }
  const seams = { fetch: (url: string, init: RequestInit) => fetch(url, init), now: () => Date.now(), ...upstream }
  const { uid, key: secret } = await emulator.plantKey({ account: ACCOUNT })
  const key = { uid, secret }
  const real = credentialsApi(config, { fetch: (url, init) => fetch(url, init), now: () => Date.now() })
  const minted = await real.mint(key, { ttlSeconds: 60, customIdentifier: undefined }, 2_000)
  if (minted.kind !== 'ok') throw new Error(`the emulator mints: ${minted.kind}`)
  const { username } = minted.value
  return {
    keys: turnKeysApi(config, { ...seams, observe: async () => undefined }),
    credentials: credentialsApi(config, seams),
    key,
    username,
  }
}

const STATUSES = [301, 302, 303, 307, 308] as const
/** Where a redirect may lead: another path of the same host, the same host by another name, the other operations. */
const PLACES = [
  '/client/v4/elsewhere',
  `${env.EMULATOR_URL}/v1/elsewhere`,
  env.EMULATOR_URL.replace('127.0.0.1', 'localhost').concat('/elsewhere'),
  `${env.EMULATOR_URL}/client/v4/accounts/${ACCOUNT}/calls/turn_keys`,
]

describe('G10: upstream', () => {
  it.each(operations)('G10: Upstream that answers %s with a redirect is not followed', async (operation, ask) => {
    const it = await world()
    for (const status of STATUSES) {
      for (const location of PLACES) {
        await emulator.fault({ operation, fault: { kind: 'redirect', status, location } })
        await emulator.clearLog()
        expect(await ask(it, 2_000), `${status} to ${location}`).toMatchObject({
          kind: 'doubtful',
          reason: 'malformed',
        })
        expect((await emulator.log()).map((entry) => entry.operation)).toEqual([operation])
      }
    }
  })

  const bombs: FaultOrderInput['fault'][] = [
    { kind: 'shape', shape: 'huge' },
    { kind: 'shape', shape: 'huge-stream' },
    { kind: 'shape', shape: 'deep' },
  ]
  it.each(operations)(
    'G10: Upstream that answers %s with megabytes, or 100,000 levels, is no answer',
    async (operation, ask) => {
      // What comes with a 204 has no body, however deep it was meant.
      for (const fault of operation === 'revoke' ? bombs.slice(0, 2) : bombs) {
        const it = await world()
        await emulator.fault({ operation, fault })
        expect(await ask(it, 2_000), JSON.stringify(fault)).toMatchObject({ kind: 'doubtful', reason: 'malformed' })
      }
    },
  )

  it.each(operations)(
    'G10: Upstream that never ends its answer to %s is read to a bound and let go of',
    async (operation, ask) => {
      const counts = { pulled: 0, cancelled: 0 }
      const piece = new Uint8Array(64 * KIB).fill(0x20)
      const endless = () =>
        new Response(
          new ReadableStream({
            pull(controller) {
              counts.pulled += piece.byteLength
              controller.enqueue(piece)
            },
            cancel() {
              counts.cancelled++
            },
          }),
          { status: 200 },
        )
      const it = await world({ fetch: () => Promise.resolve(endless()) })
      expect(await ask(it, 5_000)).toMatchObject({ kind: 'doubtful', reason: 'malformed' })
      expect(counts.cancelled).toBe(1)
      const bound = BOUNDS[operation] ?? 64 * KIB
      expect(counts.pulled).toBeGreaterThan(bound)
      expect(counts.pulled, 'one piece over the bound, and one that was asked for ahead').toBeLessThanOrEqual(
        bound + 3 * piece.byteLength,
      )
    },
  )

  it.each(operations)('G10: An answer to %s that repeats a name is no answer', async (_operation, ask) => {
    const repeating = '{"success":true,"success":false,"result":{},"iceServers":{}}'
    const given = await world({ fetch: () => Promise.resolve(new Response(repeating, { status: 200 })) })
    expect(await ask(given, 1_000)).toMatchObject({ kind: 'doubtful', reason: 'malformed' })
  })

  it('G10: Upstream that drips, hangs before or in its answer, is waited for until the deadline and no longer', async () => {
    const silences: FaultOrderInput['fault'][] = [
      { kind: 'drip', everyMs: 100 },
      { kind: 'hang', at: 'before-headers' },
      { kind: 'hang', at: 'mid-body' },
    ]
    for (const fault of silences) {
      await emulator.reset()
      const them = await Promise.all(operations.map(() => world()))
      for (const [operation] of operations) await emulator.fault({ operation, fault })
      const begun = performance.now()
      const asked = operations.map(async ([name, ask], at) => {
        const it = them[at]
        if (!it) throw new Error('there is a world for each')
        return `${name} ${JSON.stringify(await ask(it, 600))}`
      })
      const replies = await within(2_000, `deadlines of 600 ms, ${JSON.stringify(fault)}`, Promise.all(asked))
      const took = performance.now() - begun
      for (const reply of replies) expect(reply).toMatch(/"kind":"doubtful","reason":"timeout"/)
      expect(took).toBeGreaterThan(550)
    }
  })

  it.each(operations)(
    'G10: Upstream is asked for %s at the configured host only, with one bearer and no redirects',
    async (_, ask) => {
      const asked: [string, RequestInit][] = []
      const it = await world({
        fetch: (url, init) => {
          asked.push([url, init])
          return Promise.resolve(new Response('{}', { status: 500 }))
        },
      })
      await ask({ ...it, key: { uid: '../../../elsewhere', secret: 's' } }, 1_000)
      const [[url, init] = ['', {}]] = asked
      expect(asked).toHaveLength(1)
      expect(new URL(url).origin).toBe(new URL(env.EMULATOR_URL).origin)
      expect(new URL(url).pathname).toMatch(/^\/(client\/v4\/accounts\/a{32}\/calls\/turn_keys|v1\/turn\/keys\/)/)
      expect(init.redirect).toBe('manual')
      expect(init.signal).toBeInstanceOf(AbortSignal)
    },
  )
})
