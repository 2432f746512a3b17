/** Back ends written for others: Cloudflare's own documentation, and draft-uberti-behave-turn-rest-00. */
import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { expectStatus, newBroker, newTurnKey } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { expectProblem, served, tenantPath } from '../support/broker/doors.ts'
import { countAsked, emulator } from '../support/broker/upstream.ts'

/** As Cloudflare's documentation of TURN writes it; only where it asks is a parameter. */
function backEnd(
  fetch: (url: string, init: RequestInit) => Promise<Response>,
  host: string,
  keyId: string,
  token: string,
) {
  const at = `${host}/v1/turn/keys/${keyId}/credentials`
  const headers = { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' }
  return {
    async iceServers(ttl: number, customIdentifier: string) {
      const body = JSON.stringify({ ttl, customIdentifier })
      const response = await fetch(`${at}/generate-ice-servers`, { method: 'POST', headers, body })
      if (response.status !== 201) throw new Error(`${response.status} ${await response.text()}`)
      const { iceServers } = await response.json<{
        iceServers: { urls: string[]; username?: string; credential?: string }[]
      }>()
      // Browsers block port 53.
      return iceServers.map((server) => ({ ...server, urls: server.urls.filter((url) => !url.includes(':53')) }))
    },
    async olderForm(ttl: number) {
      const response = await fetch(`${at}/generate`, { method: 'POST', headers, body: JSON.stringify({ ttl }) })
      if (!response.ok) throw new Error(`${response.status}`)
      const { iceServers } = await response.json<{
        iceServers: { urls: string[]; username: string; credential: string }
      }>()
      return iceServers
    },
    async revoke(username: string) {
      const response = await fetch(`${at}/${username}/revoke`, { method: 'POST', headers })
      if (response.status !== 204) throw new Error(`${response.status}`)
    },
  }
}

describe('a back end written for rtc.live.cloudflare.com', () => {
  it('A back end written for rtc.live.cloudflare.com works at the broker with another host and token, and sees what it would see there', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const app = createApp()
    const there = await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID })
    const atCloudflare = backEnd((url, init) => fetch(url, init), env.EMULATOR_URL, there.uid, there.key)
    const atBroker = backEnd(
      async (url, init) => app.fetch(new Request(url, init), env, createExecutionContext()),
      'https://broker.test',
      acme.uid,
      acme.token,
    )
    for (const it of [atCloudflare, atBroker]) {
      const servers = await it.iceServers(600, 'alice')
      expect(servers.map((server) => Object.keys(server))).toEqual([['urls'], ['urls', 'username', 'credential']])
      const [stun, turn] = servers
      expect(stun?.urls).toEqual(['stun:stun.cloudflare.com:3478'])
      expect(turn?.urls).toContain('turn:turn.cloudflare.com:3478?transport=udp')
      const older = await it.olderForm(60)
      expect(Object.keys(older)).toEqual(['urls', 'username', 'credential'])
      await it.revoke(older.username)
      await it.revoke(older.username)
      await it.revoke(String(turn?.username))
    }
    const { credentials } = await emulator.state()
    expect(credentials.map(({ uid, ttl, revoked }) => [uid, ttl, revoked])).toEqual([
      [there.uid, 600, true],
      [there.uid, 60, true],
      [acme.uid, 600, true],
      [acme.uid, 60, true],
    ])
  })
})

describe('turn-rest', () => {
  const PATH = tenantPath('acme', 'turn-rest')

  it('Turn-rest answers username, password, ttl and the TURN URLs, for a named user or for none', async () => {
    const broker = newBroker()
    const acme = await served(broker, 'acme', { policy: { defaultTtl: 900 } })
    for (const query of ['?service=turn', '?service=turn&username=alice', '?username=%F0%9F%A6%8A&service=turn&x=1']) {
      const answer = await broker.call('GET', PATH + query, acme.token)
      expectStatus(answer, 200)
      expect(Object.keys(answer.json)).toEqual(['username', 'password', 'ttl', 'uris'])
      expect(answer.json.uris).toEqual([
        'turn:turn.cloudflare.com:3478?transport=udp',
        'turn:turn.cloudflare.com:3478?transport=tcp',
        'turns:turn.cloudflare.com:443?transport=tcp',
      ])
      expect([899, 900]).toContain(answer.json.ttl)
      const { username, password: credential } = answer.json
      expect((await emulator.secrets()).credentials).toContainEqual({ username, credential })
      expect(answer.headers.get('cache-control')).toBe('no-store')
    }
    const asked = (await emulator.log('generate-ice-servers')).map(({ body }) => body)
    const named = { ttl: 900, customIdentifier: expect.stringMatching(/^su_/) }
    expect(asked).toEqual([{ ttl: 900 }, named, named])
    expectStatus(await broker.call('GET', `${PATH}?service=turn`, env.ADMIN_TOKEN), 200)
  })

  it('Turn-rest takes the user in the body of a POST, as JSON or as a form, and answers as to the GET', async () => {
    const broker = newBroker()
    const acme = await served(broker, 'acme', { policy: { defaultTtl: 900 } })
    const form = (body: string) =>
      broker.call('POST', PATH, acme.token, body, {
        'content-type': 'application/x-www-form-urlencoded; charset=UTF-8',
      })
    const asked = [
      () => broker.call('POST', PATH, acme.token, { username: 'alice' }),
      () => broker.call('POST', PATH, acme.token, { username: 'alice', service: 'turn' }),
      () => form('service=turn&username=alice'),
      () => form('username=alice'),
      () => broker.call('POST', PATH, acme.token, {}),
      () => form(''),
    ]
    for (const ask of asked) {
      const answer = await ask()
      expectStatus(answer, 200)
      expect(Object.keys(answer.json)).toEqual(['username', 'password', 'ttl', 'uris'])
      const { username, password: credential } = answer.json
      expect((await emulator.secrets()).credentials).toContainEqual({ username, credential })
    }
    const minted = (await emulator.log('generate-ice-servers')).map(({ body }) => body)
    const [alice] = minted as { customIdentifier: string }[]
    expect(alice?.customIdentifier).toMatch(/^su_/)
    expect(minted).toEqual([alice, alice, alice, alice, { ttl: 900 }, { ttl: 900 }])
  })

  it('Turn-rest refuses a form with another service, a key, an unknown or repeated field, or a name that is none', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const wrong: string[] = []
    for (const body of [
      ...['service=stun', 'service=', 'username=', `username=${'x'.repeat(129)}`, 'username=%00', 'ttl=60', 'a'],
      ...[`key=${acme.token}`, 'api=x', 'username=a&username=a', 'service=turn&service=turn', '{"username":"a"}'],
    ]) {
      const answer = await broker.call('POST', PATH, acme.token, body, {
        'content-type': 'application/x-www-form-urlencoded',
      })
      if (outcomeOf(answer) !== '400 invalid_request') wrong.push(`${body}: ${shown(answer)}`)
      if (answer.text.includes(acme.token)) wrong.push(`${body}: repeats the token`)
    }
    expect(wrong).toEqual([])
    expectProblem(await broker.call('POST', `${PATH}?username=alice`, acme.token, {}), 'invalid_request')
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })

  it('Turn-rest mints by the key of the policy', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const second = await newTurnKey(broker, acme, 'second')
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { policy: { defaultKeyId: second } }), 200)
    expectStatus(await broker.call('GET', `${PATH}?service=turn`, acme.token), 200)
    expect((await emulator.state()).credentials.map(({ uid }) => uid)).toEqual([second])
  })

  it('Turn-rest refuses another service, a key in the URL and a name that is none, before anything is asked upstream', async () => {
    const broker = newBroker()
    const acme = await served(broker)
    const wrong: string[] = []
    const control = encodeURIComponent('\u0000')
    const queries = [
      ...['', '?', '?service=', '?service=stun', '?service=TURN', '?service=turns', '?Service=turn', '?username=alice'],
      ...[
        `?service=turn&key=${acme.token}`,
        '?service=turn&key=',
        '?service=turn&api=x',
        `?service=turn&api=${acme.token}`,
      ],
      ...['?service=turn&username=', `?service=turn&username=${control}`, `?service=turn&username=${'x'.repeat(129)}`],
    ]
    for (const query of queries) {
      const answer = await broker.call('GET', PATH + query, acme.token)
      if (outcomeOf(answer) !== '400 invalid_request') wrong.push(`${query}: ${shown(answer)}`)
      if (answer.text.includes(acme.token)) wrong.push(`${query}: repeats the token`)
    }
    expect(wrong).toEqual([])
    for (const query of [`?service=turn&key=${acme.token}`, `?service=turn&access_token=${acme.token}`])
      expectProblem(await broker.call('GET', PATH + query, undefined), 'invalid_token')
    expect(await countAsked('generate-ice-servers')).toBe(0)
  })
})
