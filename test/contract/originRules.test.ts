/** Origin rules of a policy at the doors: what a page is answered, what a client token may be bound to, what a patch is told. */
import { describe, expect, it } from 'vitest'
import { type Broker, expectStatus, newBroker } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  askIceServers,
  clientToken,
  corsHeaders,
  expectProblem,
  postForm,
  preflight,
  served,
  tenantPath,
} from '../support/broker/doors.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { credentialRows, killObjects, usernameIn } from '../support/tenants/issuing.ts'

const ID = '944cfddf-7a95-4c47-bd9a-663b3ce8d699'
const PREVIEWS = 'https://*.previews.example.com'
const [FIRST, SECOND] = ['https://pr-1.previews.example.com', 'https://pr-2.previews.example.com']

async function acmeDoor(...allowedOrigins: string[]) {
  const broker = newBroker()
  const acme = await served(broker, 'acme', { policy: { allowedOrigins } })
  return { broker, acme, token: await clientToken(broker, acme) }
}

const patch = (broker: Broker, policy: object) => broker.admin('PATCH', '/tenants/acme', { policy })

describe('a rule of a policy', () => {
  it.each([
    [PREVIEWS, FIRST],
    ['moz-extension://*', `moz-extension://${ID}`],
    ['safari-web-extension://*', `safari-web-extension://${ID.toUpperCase()}`],
    ['null', 'null'],
    ['tauri://localhost', 'tauri://localhost'],
  ])('A rule of a policy, %s, is answered with the origin that asked, and never with a star', async (rule, origin) => {
    const { broker, token } = await acmeDoor(rule)
    for (const answer of [
      await preflight(broker, 'acme', origin),
      await askIceServers(broker, 'acme', token, { origin }),
      await postForm(broker, 'acme', { access_token: token }, { origin }),
      await postForm(broker, 'acme', { access_token: 'x' }, { origin }),
    ]) {
      expect(answer.headers.get('access-control-allow-origin'), shown(answer)).toBe(origin)
      expect(answer.headers.get('vary')).toMatch(/^Origin(, Access-Control-Request-Headers)?$/)
    }
    expect(await credentialRows()).toMatchObject([{ origin }])
  })

  it.each([
    ['tauri://localhost', 'null'],
    ['null', 'tauri://localhost'],
    ['null', 'file://'],
    ['null', undefined],
    [PREVIEWS, PREVIEWS],
    [PREVIEWS, 'https://previews.example.com'],
    [PREVIEWS, 'https://a.pr-1.previews.example.com'],
    [PREVIEWS, 'https://evilpreviews.example.com'],
    [PREVIEWS, 'https://pr-1.previews.example.com:8443'],
    [PREVIEWS, 'http://pr-1.previews.example.com'],
    ['moz-extension://*', 'moz-extension://*'],
    ['moz-extension://*', `chrome-extension://${ID}`],
  ])('A rule of a policy, %s, refuses a page of %s', async (rule, origin) => {
    const { broker, token } = await acmeDoor(rule)
    const refused = [await preflight(broker, 'acme', origin)]
    // Without an origin only the preflight is refused: a native app may ask.
    if (origin !== undefined) refused.push(await askIceServers(broker, 'acme', token, { origin }))
    for (const answer of refused) {
      expectProblem(answer, 'origin_not_allowed')
      expect(corsHeaders(answer)).toEqual([])
    }
    expect(await credentialRows()).toEqual([])
  })

  it('A rule of a policy with a star reuses a credential for the same host, and mints for another', async () => {
    const { broker, token } = await acmeDoor(PREVIEWS)
    const ask = async (origin: string) => usernameIn(await askIceServers(broker, 'acme', token, { origin }))
    const first = await ask(FIRST)
    expect(first).toBeDefined()
    expect(await ask(FIRST)).toBe(first)
    expect(await ask(SECOND)).not.toBe(first)
    expect(await credentialRows()).toMatchObject([{ origin: FIRST }, { origin: SECOND }])
  })
})

describe('a client token', () => {
  it('A client token may be bound to one host of a wildcard, and is refused at another', async () => {
    const { broker, acme } = await acmeDoor(PREVIEWS, 'null')
    const bound = await clientToken(broker, acme, { origin: FIRST })
    expectStatus(await askIceServers(broker, 'acme', bound, { origin: FIRST }), 201)
    expectProblem(await askIceServers(broker, 'acme', bound, { origin: SECOND }), 'origin_not_allowed')
    expectProblem(await askIceServers(broker, 'acme', bound, { origin: 'null' }), 'origin_not_allowed')
    const opaque = await clientToken(broker, acme, { origin: 'null' })
    expectStatus(await askIceServers(broker, 'acme', opaque, { origin: 'null' }), 201)
    expectProblem(await askIceServers(broker, 'acme', opaque, { origin: FIRST }), 'origin_not_allowed')
    expectProblem(await askIceServers(broker, 'acme', opaque), 'origin_not_allowed')
  })

  it('A client token is bound to no wildcard, and to no origin outside the policy', async () => {
    const { broker, acme } = await acmeDoor(PREVIEWS, 'moz-extension://*')
    const create = (origin: string) =>
      broker.call('POST', tenantPath('acme', 'client-tokens'), acme.token, { subject: 'ann', origin })
    for (const origin of [PREVIEWS, 'moz-extension://*', '*']) {
      const answer = await create(origin)
      expectProblem(answer, 'invalid_request')
      expect(answer.json.detail).toMatch(/^origin: must (have one host|be scheme:\/\/host)/)
    }
    for (const origin of ['null', 'https://previews.example.com', 'https://a.pr-1.previews.example.com', 'tauri://x']) {
      const answer = await create(origin)
      expectProblem(answer, 'invalid_request')
      expect(answer.json.detail).toBe('origin: must be allowed by the policy')
    }
  })
})

describe('a patch of the policy', () => {
  it('A patch of the policy says which origin is wrong, and what to write', async () => {
    const { broker } = await acmeDoor()
    const detailOf = async (...allowedOrigins: string[]) => (await patch(broker, { allowedOrigins })).json.detail
    expect(await detailOf('https://a.example', 'https://b.example/')).toBe(
      'policy.allowedOrigins.1: must have no path, not even /',
    )
    expect(await detailOf('https://*.vercel.app')).toBe(
      'policy.allowedOrigins.0: must not have * under a domain where strangers have hosts: list the hosts',
    )
  })

  it('A patch of the policy must acknowledge a wildcard under a domain of two labels', async () => {
    const { broker, token } = await acmeDoor()
    const allowedOrigins = ['https://app.test', 'https://*.example.com']
    const unacknowledged = async (policy: object) => {
      const answer = await patch(broker, policy)
      expectProblem(answer, 'invalid_request')
      expect(answer.json.detail).toMatch(/^policy\.allowedOrigins: .*policy\.acknowledgeWideOrigins/)
    }
    await unacknowledged({ allowedOrigins })
    await unacknowledged({ allowedOrigins, acknowledgeWideOrigins: false })
    expect(outcomeOf(await patch(broker, { allowedOrigins, acknowledgeWideOrigins: true }))).toBe('200')
    expectStatus(await askIceServers(broker, 'acme', token, { origin: 'https://www.example.com' }), 201)
    await unacknowledged({ acknowledgeWideOrigins: null })
    expect(outcomeOf(await patch(broker, { allowedOrigins: null, acknowledgeWideOrigins: null }))).toBe('200')
    const created = { id: 'beta', name: 'Beta', region: 'weur', policy: { allowedOrigins } }
    expectProblem(await broker.admin('POST', '/tenants', created), 'invalid_request')
  })

  it('A patch of the policy leaves an origin alone that an earlier version accepted and this one refuses', async () => {
    const { broker, token } = await acmeDoor(FIRST)
    const stored = JSON.stringify({ allowedOrigins: ['https://*.vercel.app'], acknowledgeWideOrigins: true })
    await tenantSql('acme', `UPDATE tenant SET policy = '${stored}'`)
    await killObjects()
    expect(outcomeOf(await patch(broker, { reuse: false }))).toBe('200')
    expectStatus(await askIceServers(newBroker(), 'acme', token, { origin: 'https://acme.vercel.app' }), 201)
    expectProblem(await patch(broker, { allowedOrigins: ['https://*.vercel.app'] }), 'invalid_request')
  })
})
