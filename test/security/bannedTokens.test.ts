/** G6: a ban of an API token binds every operation at once, whatever KV says, and cannot be lifted with the banned token. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import { expectStatus, keysPath, newBroker, newToken } from '../support/broker/broker.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { tenantPath } from '../support/broker/doors.ts'
import { asker, expectUnchanged, stateOf } from '../support/contract/accessRows.ts'
import { furnishAll, routes } from '../support/contract/callers.ts'

const UNTIL = '2100-01-01T00:00:00Z'

describe('a banned API token', () => {
  it('G6: A banned API token is refused on every route that takes one, and changes nothing', async () => {
    const broker = newBroker()
    const things = await furnishAll(broker, 'acme')
    const { token, tokenId } = await newToken(broker, 'acme', [...SCOPES])
    // A look-up first: the edge has the snapshot and the key's entry, and could answer by itself.
    expectStatus(await broker.call('GET', keysPath('acme', things.keyId), token), 200)
    const ban = await broker.call('POST', tenantPath('acme', 'bans'), things.token, { tokenId, until: UNTIL })
    expectStatus(ban, 201)
    const before = await stateOf(broker)
    const { ask, wrong } = asker(broker)
    const scoped = routes.filter(([, route]) => typeof route.access === 'object')
    expect(scoped.length).toBeGreaterThan(18)
    for (const entry of scoped) {
      const expected = entry[1].dialect === 'native' ? '403 subject_banned' : '403 31005'
      for (const time of ['first', 'again']) {
        await ask(entry, { who: `a banned token, ${time}`, authorization: `Bearer ${token}`, things, expected })
      }
    }
    expect(wrong).toEqual([])
    await expectUnchanged(broker, before)
  })

  it('G6: A ban is lifted by another API token or an operator, never with the banned token', async () => {
    const broker = newBroker()
    const things = await furnishAll(broker, 'acme')
    const { token, tokenId } = await newToken(broker, 'acme', ['credentials:revoke'])
    const ban = await broker.call('POST', tenantPath('acme', 'bans'), things.token, { tokenId, until: UNTIL })
    const lift = (by: string) => broker.call('POST', tenantPath('acme', `bans/${ban.json.id}/lift`), by, undefined)
    expect(outcomeOf(await lift(token))).toBe('403 subject_banned')
    expectStatus(await lift(things.token), 200)
    expect(outcomeOf(await broker.call('GET', tenantPath('acme', 'bans'), token))).toBe('200')
    const again = await broker.call('POST', tenantPath('acme', 'bans'), things.token, { tokenId, until: UNTIL })
    const byOperator = await broker.call('POST', tenantPath('acme', `bans/${again.json.id}/lift`), env.ADMIN_TOKEN)
    expectStatus(byOperator, 200)
    expectStatus(await broker.call('GET', tenantPath('acme', 'bans'), token), 200)
  })
})
