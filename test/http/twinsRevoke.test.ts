/** Revoking one credential by its username, as Cloudflare's own call does. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, newBroker, newTurnKey } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, until } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { credentialsPath, generate, revokePath, served } from '../support/broker/doors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { jobRows, tenantSql } from '../support/storage/tenantRows.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

async function acmeServed() {
  const broker = newBroker()
  const acme = await served(broker)
  const revoke = (username: string, { uid, token } = acme) => broker.call('POST', revokePath(uid, username), token)
  return { broker, acme, revoke }
}

const alike = ({ status, text, headers }: Answer) => [
  status,
  text,
  [...headers].filter(([name]) => name !== 'x-request-id'),
]
const stateOf = async (username: string) => {
  const rows = await tenantSql('acme', 'SELECT username, state FROM credentials')
  return rows.find((row) => row.username === username)?.state
}
const revokedUpstream = async (username: string): Promise<boolean> =>
  (await emulator.state()).credentials.some((each) => each.username === username && each.revoked)

describe('revoke', () => {
  it('Revoke answers 204 and nothing once upstream said so, and again without asking again', async () => {
    const { broker, acme, revoke } = await acmeServed()
    const [one, other] = [await generate(broker, acme), await generate(broker, acme)]
    const answer = await revoke(one.username)
    expectStatus(answer, 204)
    expect(answer.text).toBe('')
    expect([await revokedUpstream(one.username), await revokedUpstream(other.username)]).toEqual([true, false])
    await until('nothing is left to revoke', async () => (await jobRows('acme')).every(({ kind }) => kind === 'prune'))
    const asked = await countAsked('revoke')
    expectStatus(await revoke(one.username), 204)
    expect(await countAsked('revoke')).toBe(asked)
    expect([await stateOf(one.username), await stateOf(other.username)]).toEqual(['revoked', 'live'])
  })

  it('Revoke of a username that is unknown, expired, of another key or another tenant: the same 404', async () => {
    const { broker, acme, revoke } = await acmeServed()
    const globex = await served(broker, 'globex')
    const theirs = await generate(broker, globex)
    const second = await newTurnKey(broker, acme, 'second')
    const ofSecond = await generate(broker, { uid: second, token: acme.token })
    const short = await generate(broker, acme, { ttl: 60 })
    passTime(MINUTE_MS)
    const expected = alike(await revoke('never-was'))
    expect(expected[0]).toBe(404)
    const names = [
      theirs.username,
      ofSecond.username,
      short.username,
      '*',
      '%',
      "' OR 1=1 --",
      'a'.repeat(2_000),
      '../revoke',
      'é',
      ' ',
    ]
    for (const name of names) expect(alike(await revoke(name)), name).toEqual(expected)
    expect(await countAsked('revoke')).toBe(0)
    expect([await stateOf(ofSecond.username), await revokedUpstream(theirs.username)]).toEqual(['live', false])
  })

  it('Revoke that upstream does not confirm is an error, pending, and carried on until it does', async () => {
    const { broker, acme, revoke } = await acmeServed()
    const { username } = await generate(broker, acme)
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: 2 })
    const failed = await revoke(username)
    expect(failed.status, failed.text).toBeGreaterThanOrEqual(502)
    expect(failed.json).toMatchObject({
      success: false,
      errors: [{ message: expect.stringContaining('being carried on') }],
    })
    expect(await stateOf(username)).toBe('revoking')
    await until('the revocation is carried on', async () => {
      passTime(MINUTE_MS)
      await runJobs('acme')
      return (await stateOf(username)) === 'revoked'
    })
    expect([await stateOf(username), await revokedUpstream(username)]).toEqual(['revoked', true])
    expectStatus(await revoke(username), 204)
  })

  it('Revoke that failed may be asked again, and then says 204', async () => {
    const { broker, acme, revoke } = await acmeServed()
    const { username } = await generate(broker, acme)
    passTime(2 * MINUTE_MS)
    await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 503 }, times: 1 })
    expect((await revoke(username)).status).toBeGreaterThanOrEqual(502)
    expectStatus(await revoke(username), 204)
    expect(await revokedUpstream(username)).toBe(true)
  })

  it('Revoke reads no body, of whatever type', async () => {
    const { broker, acme } = await acmeServed()
    for (const [type, body] of [
      ['text/plain', 'x'],
      ['application/json', '{'],
      ['application/json', '{}'],
    ] as const) {
      const { username } = await generate(broker, acme)
      const answer = await broker.call('POST', revokePath(acme.uid, username), acme.token, body, {
        'content-type': type,
      })
      expectStatus(answer, 204)
    }
  })
})

describe('a username as other TURN servers write them', () => {
  /** Usernames that upstream gives from here on, in place of its own. */
  function giveUsernames(usernames: string[]): void {
    const real = globalThis.fetch
    vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
      const response = await real(input, init)
      const username = String(input).endsWith('/generate-ice-servers') ? usernames.shift() : undefined
      if (username === undefined) return response
      const text = (await response.text()).replace(/"username":"[^"]*"/, `"username":${JSON.stringify(username)}`)
      return new Response(text, { status: response.status, headers: { 'content-type': 'application/json' } })
    })
  }

  const revokedAs = async (broker: Broker, uid: string, token: string, spelt: string): Promise<string | undefined> => {
    const answer = await broker.call('POST', credentialsPath(uid, `${spelt}/revoke`), token)
    expectStatus(answer, 204)
    return (await emulator.log('revoke')).at(-1)?.path
  }

  it('A username as other TURN servers write them is handed out, and revoked, percent-encoded or not', async () => {
    const { broker, acme } = await acmeServed()
    await emulator.fault({
      operation: 'revoke',
      fault: { kind: 'status', status: 204, body: 'empty' },
      times: 'always',
    })
    const coturn = `${Math.floor(Date.now() / 1_000) + 3_600}:0a1b2c3d4e5f60718293a4b5`
    const rows: [username: string, spelt: string][] = [
      [coturn, coturn],
      [`${coturn}1`, encodeURIComponent(`${coturn}1`)],
      [`${coturn}:alice@example.org`, `${coturn}:alice@example.org`],
      ['a/b+c==', 'a%2Fb+c%3D%3D'],
      ['50%25', '50%2525'],
      ['a?b#c', 'a%3Fb%23c'],
      ['..%2f', '..%252f'],
    ]
    giveUsernames(rows.map(([username]) => username))
    for (const [username] of rows) expect((await generate(broker, acme)).username).toBe(username)
    for (const [username, spelt] of rows) {
      const path = await revokedAs(broker, acme.uid, acme.token, spelt)
      expect(path?.split('/').at(-2)).toBe(encodeURIComponent(username))
      expect(await stateOf(username)).toBe('revoked')
    }
    expect(outcomeOf(await broker.call('POST', revokePath(acme.uid, `${coturn}2`), acme.token))).toBe('404 7003')
  })
})
