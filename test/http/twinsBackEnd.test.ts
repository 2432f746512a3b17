/** Back ends written for others: as Cloudflare's own documentation writes them. */
import { createExecutionContext } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { createApp } from '../../src/app.ts'
import { newBroker } from '../support/broker/broker.ts'
import { served } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'

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
