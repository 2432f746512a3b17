/** How long a client token is worth anything: never longer than what it rests on. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker, newToken } from '../support/broker/broker.ts'
import { passTime, SECOND_MS } from '../support/broker/clock.ts'
import { APP, askIceServers, clientToken, expectProblem, served } from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'

async function acmeServed() {
  const broker = newBroker()
  return { broker, acme: await served(broker) }
}

describe('a client token dies', () => {
  it('A client token dies with the API token that made it; when that is rolled, it lives', async () => {
    const { broker, acme } = await acmeServed()
    const maker = await newToken(broker, 'acme', ['client_tokens:create'])
    const token = await clientToken(broker, { ...acme, ...maker })
    const other = await clientToken(broker, acme)
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    expectStatus(
      await broker.admin('POST', `/tenants/acme/api-tokens/${maker.tokenId}/roll`, { overlapSeconds: 0 }),
      200,
    )
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${maker.tokenId}`), 204)
    expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
    expectStatus(await askIceServers(broker, 'acme', other), 201)
    expect(await countAsked('generate-ice-servers')).toBe(1)
  })

  it('A client token dies when the API token that made it expires, and when it expires itself', async () => {
    const { broker, acme } = await acmeServed()
    const maker = await newToken(broker, 'acme', ['client_tokens:create'], new Date(Date.now() + 300_000).toISOString())
    const ofMaker = await clientToken(broker, { ...acme, ...maker }, { ttl: 3_600 })
    const short = await clientToken(broker, acme, { ttl: 300 })
    const long = await clientToken(broker, acme, { ttl: 3_600 })
    passTime(299 * SECOND_MS - 999)
    for (const token of [ofMaker, short, long]) expectStatus(await askIceServers(broker, 'acme', token), 201)
    passTime(2 * SECOND_MS)
    for (const token of [ofMaker, short]) expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
    expectStatus(await askIceServers(broker, 'acme', long), 201)
  })

  it('A client token dies with its tenant; while that is suspended, it sleeps', async () => {
    const { broker, acme } = await acmeServed()
    const token = await clientToken(broker, acme)
    const byOperator = await clientToken(broker, { ...acme, token: env.ADMIN_TOKEN })
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    expectProblem(await askIceServers(broker, 'acme', token), 'tenant_suspended')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'active' }), 200)
    expectStatus(await askIceServers(broker, 'acme', token), 201)

    expectStatus(await broker.admin('DELETE', '/tenants/acme?cascade=true'), 202)
    expectProblem(await askIceServers(broker, 'acme', token), 'invalid_token')
    expect((await askIceServers(broker, 'acme', byOperator)).status).toBeGreaterThanOrEqual(400)
  })

  it('A client token dies and opens the door of no other tenant, however alike', async () => {
    const { broker, acme } = await acmeServed()
    await served(broker, 'acme-2')
    await served(broker, 'globex')
    const token = await clientToken(broker, acme)
    for (const id of ['acme-2', 'globex', 'never-was'])
      expectProblem(await askIceServers(broker, id, token, { origin: APP }), 'invalid_token')
  })
})
