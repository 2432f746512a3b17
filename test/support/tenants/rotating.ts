/** A tenant whose TURN key is rotated: its calls, the rows they leave, and what must hold at every moment. */

import { expect } from 'vitest'
import type { Answer } from '../broker/answer.ts'
import { expectStatus, keysPath } from '../broker/broker.ts'
import { MINUTE_MS, passTime } from '../broker/clock.ts'
import { liveKeys } from '../broker/upstream.ts'
import { runJobs } from '../storage/storage.ts'
import { jobRows, keyRows } from '../storage/tenantRows.ts'
import { type Issuer, newIssuer } from './issuing.ts'

export const rotatePath = (tenant: string, uid: string) => `/v1/tenants/${tenant}/turn-keys/${uid}/rotate`

export type Rotating = Awaited<ReturnType<typeof newRotating>>

export async function newRotating(policy: object = {}) {
  const acme = await newIssuer(policy)
  const { broker, token } = acme
  const rotate = (body: object = {}, { uid = acme.uid, key }: { uid?: string; key?: string } = {}): Promise<Answer> =>
    broker.call('POST', rotatePath('acme', uid), token, body, key === undefined ? {} : { 'idempotency-key': key })
  const mint = (uid = acme.uid, ttl = 600): Promise<Answer> =>
    broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate`, token, { ttl })
  const remove = (uid = acme.uid) => broker.call('DELETE', keysPath('acme', uid), token)
  const rename = (name: string, uid = acme.uid) => broker.call('PUT', keysPath('acme', uid), token, { name })
  const get = (uid = acme.uid) => broker.call('GET', keysPath('acme', uid), token)
  return { ...acme, rotate, mint, remove, rename, get }
}

/** The states of the tenant's keys, oldest first. */
export const states = async (): Promise<unknown[]> => (await keyRows('acme')).map(({ state }) => state)

/** The kinds of jobs that are not mere housekeeping. */
export const unfinished = async (): Promise<unknown[]> =>
  (await jobRows('acme')).map(({ kind }) => kind).filter((kind) => kind !== 'prune' && kind !== 'cache')

/** Runs the due jobs again and again until at most `until` are left or `forMs` have passed. Moves the clock. */
export async function settle({ forMs = 30 * MINUTE_MS, until = 0 } = {}): Promise<void> {
  for (let passed = 0; passed < forMs && (await unfinished()).length > until; passed += MINUTE_MS) {
    passTime(MINUTE_MS)
    // An alarm that fired by itself may still run: wait for it.
    if (!(await runJobs('acme'))) await new Promise((resolve) => setTimeout(resolve, 50))
  }
}

/** Expects that a caller who names the key and a caller who names none both get a credential now. */
export async function expectWorkingKey(acme: Issuer & Pick<Rotating, 'mint'>, uid = acme.uid): Promise<void> {
  expectStatus(await acme.mint(uid), 201)
  expectStatus(await acme.ice(await acme.clientToken(`of ${crypto.randomUUID()}`)), 201)
}

/** Expects that upstream has exactly the keys of the tenant, and that only those have a sealed secret. */
export async function expectAgreement(): Promise<void> {
  const rows = await keyRows('acme')
  const kept = rows.filter(({ state }) => state !== 'deleted' && state !== 'failed')
  expect((await liveKeys()).map(({ uid }) => uid).sort()).toEqual(kept.map(({ uid }) => String(uid)).sort())
  for (const row of rows)
    expect(row.sealed === null, `${row.state}`).toBe(row.state === 'deleted' || row.state === 'failed')
}
