/**
 * A mint that finds the object's own connections taken goes over the connection of its caller. A hang-up is played by a lent
 * function that rejects, and by one whose stub is disposed: a socket that closes cannot be played here.
 */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { type MintCall, mintSender, type SendMint } from '../../src/cloudflare/mintCall.ts'
import type { Result } from '../../src/errors.ts'
import type { Issued, IssueRequest, StunOnly } from '../../src/rpc/issuing.ts'
import { expectStatus, keysPath, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { CONNECTIONS, mostConnections } from '../support/broker/connections.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import {
  credentialRows,
  expectOutcome,
  type Issuer,
  mintsAsked,
  newIssuer,
  tally,
  upstreamCredentials,
  usable,
  usernameIn,
} from '../support/tenants/issuing.ts'

const AMPLE = { maxMintsPerMinute: 100_000, maxLiveCredentials: 1_000_000, maxLiveCredentialsPerSubject: 1_000 }
/** Connections that an object keeps for mints. */
const OWN = 3

const send: SendMint = mintSender(env.CLOUDFLARE_RTC_URL, {
  fetch: (url, init) => fetch(url, init),
  now: () => Date.now(),
})

/** Takes the object's own connections, and leaves them with their mints open. */
async function takeOwn(acme: Issuer): Promise<Promise<unknown>[]> {
  await emulator.hold('generate-ice-servers', 'own', { times: OWN })
  const taken = Array.from({ length: OWN }, (_, n) => acme.generate({ customIdentifier: `own-${n}` }))
  await emulator.untilHeld('own', { count: OWN })
  return taken
}

const requestFor = async (acme: Issuer, subject: string): Promise<IssueRequest> => ({
  requestId: crypto.randomUUID(),
  asker: { kind: 'client-token', tokenId: acme.tokenId, boundOrigin: null, credentialTtlSeconds: null },
  subject,
  requestedTtlSeconds: null,
  keyId: null,
  origin: null,
  reuse: 'allowed',
})

const issueWith = async (acme: Issuer, subject: string, lend: SendMint): Promise<Result<Issued | StunOnly>> =>
  tenantStub('acme').issue(await requestFor(acme, subject), lend)

const codeOf = (result: Result<Issued | StunOnly>): string => (result.ok ? result.value.source : result.failure.code)

describe('a mint beside others that are open', () => {
  it('64 mints at once are all served, three of them over the connections of the object', async () => {
    const acme = await newIssuer(AMPLE)
    await emulator.hold('generate-ice-servers', 'all', { times: 'always' })
    const asked = Array.from({ length: 64 }, (_, n) => acme.generate({ customIdentifier: `s-${n}` }))
    await emulator.untilHeld('all', { count: 64 })
    expect(mostConnections().most).toBeLessThanOrEqual(CONNECTIONS)
    await emulator.clearFaults()
    await emulator.release('all')
    expect(tally(await Promise.all(asked))).toEqual({ '201': 64 })
    expect(new Set((await credentialRows()).map(({ username }) => username)).size).toBe(64)
  })

  it('G8: Of 64 mints at once over lent connections exactly as many are served as the tenant may have', async () => {
    const acme = await newIssuer({ ...AMPLE, maxLiveCredentials: 20 })
    const asked = Array.from({ length: 64 }, (_, n) => acme.generate({ customIdentifier: `s-${n}` }))
    expect(tally(await Promise.all(asked))).toEqual({ '201': 20, '429 31020': 44 })
    expect(await mintsAsked()).toHaveLength(20)
  })

  it('An idle object uses a connection of its own', async () => {
    const acme = await newIssuer(AMPLE)
    const lent: MintCall[] = []
    const result = await issueWith(acme, 'ann', (call) => {
      lent.push(call)
      return send(call)
    })
    expect(codeOf(result)).toBe('minted')
    expect(lent).toEqual([])
  })

  it('A lent connection is asked for one mint of its caller, with the key of the tenant and nothing else', async () => {
    const acme = await newIssuer(AMPLE)
    const own = await takeOwn(acme)
    const lent: MintCall[] = []
    const result = await issueWith(acme, 'ann', (call) => {
      lent.push(call)
      return send(call)
    })
    expect(codeOf(result)).toBe('minted')
    expect(lent).toHaveLength(1)
    expect(Object.keys(lent[0] ?? {}).sort()).toEqual(['customIdentifier', 'deadlineMs', 'secret', 'ttlSeconds', 'uid'])
    expect(lent[0]).toMatchObject({ uid: acme.uid, customIdentifier: expect.stringMatching(/^su_/) })
    await emulator.release('own')
    await Promise.all(own)
  })

  it('Where lending is off, mints wait for the connections of the object', async () => {
    const acme = await newIssuer(AMPLE, 'acme', newBroker({ LEND_CONNECTIONS: 'off' }))
    const own = await takeOwn(acme)
    const waiting = acme.generate({ customIdentifier: 'ann' })
    await until('it is under way', async () => (await mintsAsked()).length === OWN)
    await emulator.release('own')
    expectStatus(await waiting, 201)
    expect(await mintsAsked()).toHaveLength(OWN + 1)
    await Promise.all(own)
  })
})

describe('a caller who hangs up while its connection is lent', () => {
  it('G1: A caller who is gone gets nothing, and what Cloudflare minted for it is handed to no other caller', async () => {
    const acme = await newIssuer(AMPLE)
    const own = await takeOwn(acme)
    const result = await issueWith(acme, 'ann', async (call) => {
      await send(call)
      throw new Error('the caller is gone')
    })
    expect(codeOf(result)).toBe('broker_busy')
    const minted = (await upstreamCredentials()).filter(({ customIdentifier }) => customIdentifier?.startsWith('su_'))
    const next = await acme.ice(await acme.clientToken('ann'))
    expectStatus(next, 201)
    expect(minted.map(({ username }) => username)).not.toContain(usernameIn(next))
    await emulator.release('own')
    await Promise.all(own)
  })

  it('A shared mint whose beginner is gone is asked again by the next who waits for it', async () => {
    const acme = await newIssuer(AMPLE)
    const own = await takeOwn(acme)
    const gone = Promise.withResolvers<never>()
    const begun = Promise.withResolvers<void>()
    const first = issueWith(acme, 'ann', () => {
      begun.resolve()
      return gone.promise
    })
    await begun.promise
    const others = Array.from({ length: 5 }, () => issueWith(acme, 'ann', send))
    await new Promise((resolve) => setTimeout(resolve, 50))
    gone.reject(new Error('the caller is gone'))
    expect(codeOf(await first)).toBe('broker_busy')
    const results = await Promise.all(others)
    expect(results.map(codeOf).sort()).toEqual(['minted', 'reused', 'reused', 'reused', 'reused'])
    await emulator.release('own')
    await Promise.all(own)
  })

  it('Callers who are gone do not open the breaker', async () => {
    const acme = await newIssuer(AMPLE)
    const own = await takeOwn(acme)
    const gone: SendMint = () => Promise.reject(new Error('the caller is gone'))
    for (let n = 0; n < 25; n++) expect(codeOf(await issueWith(acme, `s-${n}`, gone))).toBe('broker_busy')
    expect(codeOf(await issueWith(acme, 'ann', send))).toBe('minted')
    await emulator.release('own')
    await Promise.all(own)
  })

  it('G6: A lent call that answers after its deadline is reported once, and what it minted is revoked', async () => {
    const acme = await newIssuer(AMPLE)
    const own = await takeOwn(acme)
    const late = Promise.withResolvers<void>()
    const result = await issueWith(acme, 'ann', async (call) => {
      const answer = await send(call)
      await late.promise
      return answer
    })
    // By now a connection of the object's own is free again: it has minted another one.
    expect(codeOf(result)).toBe('minted')
    late.resolve()
    await until('it is revoked', async () =>
      (await upstreamCredentials()).some(
        ({ customIdentifier, revoked }) => customIdentifier?.startsWith('su_') && revoked,
      ),
    )
    expect(await usable()).toContain(result.ok && result.value.source === 'minted' ? result.value.username : '')
    await emulator.release('own')
    await Promise.all(own)
  })
})

/** The decision is stored: a revocation, a ban, a key that goes, a tenant that does not answer. */
const isDecided = async (acme: Issuer): Promise<boolean> => {
  const count = async (rows: string) => Number((await tenantSql('acme', `SELECT count(*) AS n FROM ${rows}`))[0]?.n)
  const decided = [
    await count('revocations'),
    await count('bans'),
    await count(`turn_keys WHERE uid = '${acme.uid}' AND state = 'deleting'`),
    await count("tenant WHERE status = 'suspended'"),
  ]
  return decided.some((n) => n > 0)
}

describe('G6: what is taken back while a connection is lent', () => {
  const cases: Record<string, (acme: Issuer) => Promise<unknown>> = {
    'its subject is revoked': (acme) => acme.revocation({ subject: 'ann' }),
    'its subject is banned': (acme) =>
      acme.post('/bans', { subject: 'ann', until: new Date(Date.now() + MINUTE_MS).toISOString() }),
    'its TURN key is deleted': (acme) => acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token),
    'its tenant is suspended': (acme) => acme.broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }),
  }
  it.each(Object.entries(cases))(
    'G6: A mint over a lent connection hands out nothing when %s',
    async (_what, happens) => {
      const acme = await newIssuer(AMPLE)
      const own = await takeOwn(acme)
      await emulator.hold('generate-ice-servers', 'lent', { when: 'after' })
      const asked = acme.ice(await acme.clientToken('ann'))
      await emulator.untilHeld('lent')
      const happened = happens(acme)
      await until('it is decided', async () => isDecided(acme))
      await emulator.release('lent')
      const answer = await asked
      expect(usernameIn(answer), answer.text).toBeUndefined()
      await emulator.release('own')
      await Promise.all([...own, happened])
      passTime(2 * MINUTE_MS)
      for (let round = 0; round < 2; round++) await runJobs('acme')
      const rows = (await credentialRows()).filter(({ subject_id }) => subject_id !== null)
      expect(rows.length).toBeGreaterThan(0)
      const relayed = await usable()
      for (const { username, state } of rows) if (state !== 'live') expect(relayed).not.toContain(username)
    },
  )
})

it('A lent answer of more than 16 KiB, or one that is no answer, is believed no more than one of the object itself', async () => {
  const acme = await newIssuer(AMPLE)
  const own = await takeOwn(acme)
  await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'shape', shape: 'huge' }, times: 1 })
  expectOutcome(await acme.generate({ customIdentifier: 'ann' }), '502 31023')
  const lies: SendMint = async () => ({
    kind: 'answered',
    status: 201,
    body: { json: { iceServers: [{ urls: ['turn:x'], username: 'u', credential: 'short' }] } },
    retryAfterSeconds: undefined,
    rate: undefined,
  })
  expect(codeOf(await issueWith(acme, 'bob', lies))).toBe('upstream_failed')
  await emulator.release('own')
  await Promise.all(own)
})
