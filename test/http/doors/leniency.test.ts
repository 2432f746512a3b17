/** Cloudflare-shaped doors take what the clients of Cloudflare send: a day of life, any content type, no body, unknown fields. */
import { describe, expect, it } from 'vitest'
import { expectStatus, newBroker } from '../../support/broker/broker.ts'
import { outcomeOf } from '../../support/broker/contract.ts'
import { askIceServers, clientToken, credentialsPath, served, tenantPath } from '../../support/broker/doors.ts'
import { emulator } from '../../support/broker/upstream.ts'

const TWO_DAYS_SECONDS = 172_800

async function acmeServed(policy: object = {}) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy })
  const post = (rest: string, body?: unknown) => broker.call('POST', credentialsPath(acme.uid, rest), acme.token, body)
  return { broker, acme, post }
}

const mintedTtls = async () =>
  (await emulator.log('generate-ice-servers')).map(({ body }) => (body as { ttl: number }).ttl)

describe('maxServerTtl', () => {
  it('G7: A back end gets a day by default, whatever maxTtl allows pages, and never more than maxServerTtl', async () => {
    const { broker, acme, post } = await acmeServed()
    for (const rest of ['generate', 'generate-ice-servers']) {
      for (const ttl of [14_401, 86_400]) expectStatus(await post(rest, { ttl }), 201)
      for (const ttl of [86_401, TWO_DAYS_SECONDS]) {
        const answer = await post(rest, { ttl })
        expect(outcomeOf(answer)).toBe('400 31002')
        expect(answer.json.errors[0].message).toBe('ttl: must be at most 86400 seconds')
      }
    }
    const token = await clientToken(broker, acme)
    const page = await askIceServers(broker, 'acme', token, { body: { ttl: 14_401 } })
    expect([outcomeOf(page), page.json.detail]).toEqual(['400 ttl_too_long', 'ttl: must be at most 14400 seconds'])
    const bound = await broker.call('POST', tenantPath('acme', 'client-tokens'), acme.token, {
      subject: 'ann',
      credentialTtl: 14_401,
    })
    expect(outcomeOf(bound)).toBe('400 ttl_too_long')
    expect(await mintedTtls()).toEqual([14_401, 86_400, 14_401, 86_400])
  })

  it('G7: Each of maxTtl and maxServerTtl bounds its own doors, also where the other is longer', async () => {
    const { broker, acme, post } = await acmeServed({ maxTtl: TWO_DAYS_SECONDS, maxServerTtl: 7_200 })
    const token = await clientToken(broker, acme)
    expectStatus(await askIceServers(broker, 'acme', token, { body: { ttl: TWO_DAYS_SECONDS } }), 201)
    expect(outcomeOf(await post('generate', { ttl: 7_201 }))).toBe('400 31002')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { maxServerTtl: TWO_DAYS_SECONDS } }), 200)
    expectStatus(await post('generate', { ttl: TWO_DAYS_SECONDS }), 201)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { maxServerTtl: null } }), 200)
    expect(outcomeOf(await post('generate', { ttl: 86_401 }))).toBe('400 31002')
    expect(await mintedTtls()).toEqual([TWO_DAYS_SECONDS, TWO_DAYS_SECONDS])
  })

  it('G7: A back end that asks for no ttl gets defaultTtl, or maxServerTtl where that is shorter', async () => {
    const { broker, acme, post } = await acmeServed({ defaultTtl: 7_200 })
    const turnRest = () => broker.call('GET', `${tenantPath('acme', 'turn-rest')}?service=turn`, acme.token)
    expectStatus(await post('generate', {}), 201)
    expectStatus(await turnRest(), 200)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { maxServerTtl: 600 } }), 200)
    expectStatus(await post('generate', {}), 201)
    expectStatus(await turnRest(), 200)
    expect(await mintedTtls()).toEqual([7_200, 7_200, 600, 600])
  })
})

describe('a body at a path of Cloudflare', () => {
  const TTL = new TextEncoder().encode('{"ttl":600,"unknown":{"ttl":1}}')

  it('A body at a path of Cloudflare is read as JSON under any content type or none, and unknown fields are ignored', async () => {
    const { broker, acme } = await acmeServed()
    const types = [
      undefined,
      '',
      'text/plain;charset=UTF-8',
      'application/octet-stream',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/json; charset=iso-8859-1',
      'nonsense',
    ]
    for (const type of types) {
      const answer = await broker.send(credentialsPath(acme.uid, 'generate'), {
        method: 'POST',
        headers: { authorization: `Bearer ${acme.token}`, ...(type === undefined ? {} : { 'content-type': type }) },
        body: TTL,
      })
      expectStatus(answer, 201)
    }
    expect(await mintedTtls()).toEqual(types.map(() => 600))
  })

  it('A body at a path of Cloudflare that is empty means the defaults: of a credential, of a new TURN key, of a rename', async () => {
    const { broker, acme, post } = await acmeServed({ defaultTtl: 900 })
    expectStatus(await post('generate'), 201)
    expectStatus(await post('generate-ice-servers', ''), 201)
    expect(await mintedTtls()).toEqual([900, 900])
    const keys = '/client/v4/accounts/acme/calls/turn_keys'
    const created = await broker.call('POST', keys, acme.token)
    expectStatus(created, 201)
    expect(created.json.result.name).toBe('')
    const renamed = await broker.call('PUT', `${keys}/${acme.uid}`, acme.token)
    expectStatus(renamed, 200)
    expect(renamed.json.result.name).toBe(
      (await broker.call('GET', `${keys}/${acme.uid}`, acme.token)).json.result.name,
    )
  })
})
