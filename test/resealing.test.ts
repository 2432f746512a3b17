/** Moving every secret to another root key, and knowing which root keys are needed. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { rootKeyOf } from '../src/crypto/seal.ts'
import { expectStatus } from './support/broker.ts'
import { MINUTE_MS, passTime } from './support/clock.ts'
import { deploy } from './support/deployment.ts'
import { credentialRows, doorsOf, expectOutcome, newIssuer, usernameIn } from './support/issuing.ts'
import { keyRows } from './support/tenantRows.ts'

const OLD = env.ROOT_KEYS
const NEW = `k2:${new Uint8Array(32).fill(2).toBase64()}`

describe('resealing', () => {
  it('moves every secret', async () => {
    passTime(2 * MINUTE_MS)
    const acme = await newIssuer()
    const first = await acme.ice(await acme.clientToken('ann'))
    const next = deploy({ ROOT_KEYS: `${NEW},${OLD}` })
    const order = await next.admin('POST', '/reseal')
    expectStatus(order, 202)
    for (let i = 0; i < 5; i++) await next.runAccount()
    const progress = await next.admin('GET', '/reseal')
    expect((await keyRows('acme')).map(({ sealed }) => rootKeyOf(String(sealed)))).toEqual(['k2'])
    expect((await credentialRows()).map(({ sealed }) => rootKeyOf(String(sealed)))).toEqual(['k2'])
    const doors = doorsOf(next, acme)
    const again = await doors.ice(await doors.clientToken('ann'))
    expect(usernameIn(again)).toBe(usernameIn(first))
    expectOutcome(await doors.generate(), '201')
  })
})
