/** The three variables of Cloudflare Access: all of them or none, and what a right one looks like. */

import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { parseConfig } from '../../src/env.ts'
import { newBroker } from '../support/broker/broker.ts'
import { shown } from '../support/broker/contract.ts'
import { ACCESS, AUD, assertionOf, newAccessBroker, newTeam, personClaims, through } from '../support/secrets/access.ts'

describe('the variables of Cloudflare Access', () => {
  it.each([
    [['ACCESS_TEAM_DOMAIN'], 'ACCESS_AUD'],
    [['ACCESS_AUD'], 'ACCESS_TEAM_DOMAIN'],
    [['ACCESS_ROLES'], 'ACCESS_TEAM_DOMAIN'],
    [['ACCESS_TEAM_DOMAIN', 'ACCESS_AUD'], 'ACCESS_ROLES'],
    [['ACCESS_TEAM_DOMAIN', 'ACCESS_ROLES'], 'ACCESS_AUD'],
    [['ACCESS_AUD', 'ACCESS_ROLES'], 'ACCESS_TEAM_DOMAIN'],
  ] as const)('G13: With %j alone the broker is misconfigured: it names %s', async (set, missing) => {
    const broker = newBroker(Object.fromEntries(set.map((name) => [name, ACCESS[name]])))
    const answer = await through(broker, 'x')
    expect(answer.status, shown(answer)).toBe(500)
    expect(answer.json.detail).toBe(`${missing} is missing or malformed.`)
  })

  it('The variables of Cloudflare Access are read as they are written', () => {
    const parsed = parseConfig({ ...env, ...ACCESS, ACCESS_TEAM_DOMAIN: 'a.cloudflareaccess.com', ACCESS_AUD: AUD })
    expect(parsed).toMatchObject({
      ok: true,
      config: {
        access: { teamDomain: 'a.cloudflareaccess.com', audiences: [AUD], roles: JSON.parse(ACCESS.ACCESS_ROLES) },
      },
    })
    expect(parseConfig({ ...env })).toMatchObject({ ok: true, config: { access: undefined } })
  })

  it('The highest role counts where several entries name an identity', async () => {
    await newTeam()
    const roles = [
      { email: 'x@example.com', role: 'viewer' },
      { custom: { claim: 'groups', value: 'a' }, role: 'operator' },
      { custom: { claim: 'groups', value: 'b' }, role: 'viewer' },
    ]
    const broker = await newAccessBroker({ ACCESS_ROLES: JSON.stringify(roles) })
    const by = async (claims: object) =>
      (
        await through(broker, await assertionOf(personClaims(claims)), {
          method: 'POST',
          path: '/v1/admin/account/sweep',
        })
      ).status
    expect(await by({ email: 'x@example.com' })).toBe(403)
    expect(await by({ email: 'x@example.com', custom: { groups: ['b', 'a'] } })).toBe(202)
    expect(await by({ email: 'y@example.com', custom: { groups: ['b'] } })).toBe(403)
  })
})
