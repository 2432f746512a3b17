/**
 * A Durable Object has six connections that wait for an answer's headers; the runtime queues a seventh. Each kind of call has
 * its share, so that none waits for another kind: not KV, and not the proof of a new key.
 */
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { snapshotKey } from '../../src/cache/entries.ts'
import type { CredentialsApi } from '../../src/cloudflare/credentials.ts'
import { Semaphore } from '../../src/concurrency/semaphore.ts'
import { askForProof } from '../../src/tenant/provisioning/proof.ts'
import { expectStatus, keysPath, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until, within } from '../support/broker/clock.ts'
import { CONNECTIONS, forgetConnections, inObject, mostConnections } from '../support/broker/connections.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { keyRows } from '../support/storage/tenantRows.ts'
import { newIssuer, usernameIn } from '../support/tenants/issuing.ts'

it('G11: While every mint, revocation and key call hangs, KV is written, and no object has more than its six connections', async () => {
  const acme = await newIssuer({ maxTurnKeys: 10 })
  const keys = [acme.uid]
  for (let n = 0; n < 5; n++) keys.push(await newTurnKey(acme.broker, acme))
  // No entry in KV is fresh any more: each look-up writes its key's, and the snapshot.
  passTime(2 * MINUTE_MS)
  const username = usernameIn(await acme.generate())
  forgetConnections()

  await emulator.hold('generate-ice-servers', 'mints', { times: 'always' })
  await emulator.hold('generate', 'mints', { times: 'always' })
  await emulator.hold('revoke', 'revocations', { times: 'always' })
  await emulator.hold('update', 'renames', { times: 'always' })
  const mints = Array.from({ length: 20 }, () => acme.generate())
  const renames = keys.map((uid) => acme.broker.call('PUT', keysPath('acme', uid), acme.token, { name: 'second' }))
  const revoke = `/v1/turn/keys/${acme.uid}/credentials/${username}/revoke`
  const revocation = acme.broker.call('POST', revoke, acme.token)
  await emulator.untilHeld('mints', { count: 3 })
  await emulator.untilHeld('renames')
  await emulator.untilHeld('revocations')
  const lookUps = keys.map((uid) => acme.broker.call('GET', keysPath('acme', uid), acme.token))
  expectStatus(await acme.broker.admin('PATCH', '/tenants/acme', { policy: { requireOrigin: true } }), 200)
  expect(await env.CACHE.get(snapshotKey('acme'), 'json')).toMatchObject({ requireOrigin: true })
  expect(mostConnections()).toEqual({ object: 'Tenant', most: CONNECTIONS })

  await emulator.clearFaults()
  for (const id of ['mints', 'renames', 'revocations']) await emulator.release(id)
  await Promise.all([...mints, ...renames, ...lookUps, revocation])
})

it('G12: The proof of a new key has its whole deadline when its turn comes, however long it waited for the connection', async () => {
  const keySemaphore = new Semaphore(1, 10)
  const deadlines: number[] = []
  const mint = async (_key: object, _input: object, deadlineMs: number) => {
    deadlines.push(deadlineMs)
    return { kind: 'ok', value: { username: 'u', credential: 'c', urls: [] } } as const
  }
  const credentials = { mint } as unknown as CredentialsApi // a proof only mints
  const ctx = { now: () => Date.now(), credentials, keySemaphore }
  let end: () => void = () => undefined
  const before = keySemaphore.run(1, () => new Promise<void>((resolve) => (end = resolve)))
  const key = { uid: 'a'.repeat(32), secret: 's' }
  const proven = askForProof(ctx, key, { until: Date.now() + 11_000, makesSense: () => false })
  // Of its two seconds this one may wait 0.9: the rest is for the answer.
  const hurried = askForProof(ctx, key, { until: Date.now() + 2_000, makesSense: () => false })
  const unsent = await within(1_700, 'a proof is not sent too late', hurried)
  expect(unsent).toMatchObject({ kind: 'rate-limited', unasked: true, unsent: true })
  expect(deadlines).toEqual([])
  end()
  await before
  expect((await proven).kind).toBe('ok')
  expect(deadlines).toEqual([1_800])
})

it('G12: The proof of a rotation holds the connection for keys: a rename waits for it, and both are carried out', async () => {
  const acme = await newIssuer()
  const other = await newTurnKey(acme.broker, acme)
  await emulator.hold('generate-ice-servers', 'proof', { when: 'before' })
  const rotate = acme.post(`/turn-keys/${acme.uid}/rotate`, { revoke: false })
  await emulator.untilHeld('proof')
  // The proof holds the connection for keys: a rename waits, and is sent when the proof is through.
  const rename = acme.broker.call('PUT', keysPath('acme', other), acme.token, { name: 'second' })
  await until('the rename is ordered', async () => (await keyRows('acme')).some((row) => row.pending_name !== null))
  expect(await countAsked('update')).toBe(0)
  await emulator.release('proof')
  expectStatus(await rotate, 201)
  expectStatus(await rename, 200)
})

it('Seven connections of one object at once are noticed', async () => {
  const asked = inObject('a test', () => Array.from({ length: CONNECTIONS + 1 }, () => fetch(env.EMULATOR_URL)))
  expect(mostConnections()).toEqual({ object: 'a test', most: 7 })
  forgetConnections()
  await Promise.all(asked)
  const mixed = inObject('a test', () => [env.CACHE.get('a'), fetch(env.EMULATOR_URL)] as Promise<unknown>[])
  expect(mostConnections()).toEqual({ object: 'a test', most: 2 })
  await Promise.all(mixed)
})
