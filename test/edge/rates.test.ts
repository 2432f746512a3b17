/** G18: what a request is counted by: its tenant and subject where its token proves itself, else its address; whatever is cached. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { snapshotKey } from '../../src/cache/entries.ts'
import { addressBlocks } from '../../src/http/caller/rateLimits.ts'
import type { Answer } from '../support/broker/answer.ts'
import { brokenCache } from '../support/broker/bindings.ts'
import { type Broker, keysPath, newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { APP, askIceServers, credentialsPath, postForm, preflight, tenantPath } from '../support/broker/doors.ts'
import { basic } from '../support/contract/callers.ts'
import { forgedToken } from '../support/secrets/apiTokens.ts'
import { issuerAt, jwtOf, newKey } from '../support/secrets/idp.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

/** All Workers of Cloudflare's customers call from this one address. */
const WORKER = { 'cf-connecting-ip': '2a06:98c0:3600::103' }

/** The limiters, those named full, and the keys that each was asked about. */
function limiters(...full: string[]) {
  const asked: Record<string, string[]> = {}
  const limiter = (name: string): RateLimit => ({
    limit: ({ key }) => {
      asked[name] = [...(asked[name] ?? []), key]
      return Promise.resolve({ success: !full.includes(name) })
    },
  })
  const names = ['RATE_IP', 'RATE_SITE', 'RATE_TENANT', 'RATE_SUBJECT', 'RATE_UNPROVEN']
  return { asked, bindings: Object.fromEntries(names.map((name) => [name, limiter(name)])) }
}

/** The states of the caches that an isolate may find; each is brought about just before a request of a new isolate. */
const CACHES: Record<string, () => Promise<object>> = {
  fresh: async () => ({}),
  stale: async () => {
    passTime(2 * MINUTE_MS)
    return {}
  },
  absent: async () => {
    const { keys } = await env.CACHE.list()
    for (const { name } of keys) await env.CACHE.delete(name)
    return {}
  },
  'out of reach': async () => ({ CACHE: brokenCache() }),
}

type Ask = (edge: Broker) => Promise<Answer>

/** A tenant with an identity provider, and a good request of each kind. */
async function requests() {
  const key = await newKey('good')
  const acme = await newIssuer({ issuers: [issuerAt({ keys: [key] })], reuse: false })
  const client = await acme.clientToken('ann', { ttl: 3_600 })
  // Another TURN key is not needed, and no clock is waited for: the JWT lives for 10 minutes.
  const good: Record<string, Ask> = {
    'an API token mints': (edge) =>
      edge.call('POST', credentialsPath(acme.uid, 'generate'), acme.token, {}, { ...WORKER }),
    'an API token reads': (edge) => edge.call('GET', keysPath('acme', acme.uid), acme.token, undefined, { ...WORKER }),
    'an API token makes a client token': (edge) =>
      edge.call('POST', tenantPath('acme', 'client-tokens'), acme.token, { subject: 'ann' }, { ...WORKER }),
    'an API token in Basic mints': (edge) =>
      edge.call('GET', tenantPath('acme', 'turn-rest'), undefined, undefined, {
        ...WORKER,
        authorization: basic(acme.token),
      }),
    'a client token of an app': (edge) => askIceServers(edge, 'acme', client, { headers: WORKER }),
    'a client token of a page': (edge) => postForm(edge, 'acme', { access_token: client }, { ...WORKER, origin: APP }),
    'a JWT of a page': async (edge) =>
      postForm(edge, 'acme', { access_token: await jwtOf(key) }, { ...WORKER, origin: APP }),
  }
  return { acme, good }
}

describe('G18: a request whose token proves itself', () => {
  it('G18: A good token is served from the address that all Workers share, whatever the caches hold, when that address is over its limit', async () => {
    const { good } = await requests()
    const wrong: string[] = []
    for (const [cache, bring] of Object.entries(CACHES)) {
      for (const [what, ask] of Object.entries(good)) {
        const { asked, bindings } = limiters('RATE_IP', 'RATE_SITE')
        const answer = await ask(newBroker({ ...bindings, ...(await bring()) }))
        const byAddress = [...(asked.RATE_IP ?? []), ...(asked.RATE_SITE ?? [])]
        if (answer.status >= 300 || byAddress.length > 0)
          wrong.push(`${what}, KV ${cache}: ${shown(answer)}, counted by ${byAddress}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('G18: A good token is counted by its tenant and subject alike, whatever the caches hold', async () => {
    const { good } = await requests()
    for (const [what, ask] of Object.entries(good)) {
      const seen = new Set<string>()
      for (const bring of Object.values(CACHES)) {
        const { asked, bindings } = limiters()
        await ask(newBroker({ ...bindings, ...(await bring()) }))
        expect(asked.RATE_TENANT, what).toEqual(['acme'])
        seen.add(JSON.stringify([asked.RATE_TENANT, asked.RATE_SUBJECT ?? []]))
      }
      expect(seen.size, what).toBe(1)
    }
  })

  it.each(['RATE_TENANT', 'RATE_SUBJECT'])(
    'G18: The limit %s binds a good token, whatever the caches hold',
    async (name) => {
      const { good } = await requests()
      for (const [cache, bring] of Object.entries(CACHES)) {
        for (const [what, ask] of Object.entries(good)) {
          if (name === 'RATE_SUBJECT' && what.startsWith('an API token')) continue
          const { bindings } = limiters(name)
          const answer = await ask(newBroker({ ...bindings, ...(await bring()) }))
          expect(outcomeOf(answer), `${what}, KV ${cache}`).toMatch(/^429 (rate_limited|31018)$/)
        }
      }
    },
  )

  it('G18: An operator is counted as an operator, from any address', async () => {
    const { asked, bindings } = limiters('RATE_IP', 'RATE_SITE')
    const edge = newBroker(bindings)
    expect((await edge.admin('GET', '/tenants', undefined, WORKER)).status).toBe(200)
    expect(asked).toEqual({ RATE_TENANT: ['operator:token'] })
  })
})

describe('G18: a request that proves nothing', () => {
  it('G18: A request that proves nothing is counted by its /64 and its /48, whatever the caches hold, and by no tenant', async () => {
    const { acme } = await requests()
    const forged = await forgedToken('acme', acme.tokenId)
    const bad: Record<string, Ask> = {
      'no token': (edge) => edge.call('GET', keysPath('acme'), undefined, undefined, { ...WORKER }),
      'a junk token': (edge) => edge.call('GET', keysPath('acme'), 'junk', undefined, { ...WORKER }),
      'a forged API token': (edge) => edge.call('GET', keysPath('acme'), forged, undefined, { ...WORKER }),
      'a forged API token in Basic': (edge) =>
        edge.call('GET', tenantPath('acme', 'turn-rest'), undefined, undefined, {
          ...WORKER,
          authorization: basic(forged),
        }),
      'Basic that another site caused': (edge) =>
        edge.call('GET', tenantPath('acme', 'turn-rest'), undefined, undefined, {
          ...WORKER,
          authorization: basic(acme.token),
          'sec-fetch-site': 'cross-site',
        }),
      'an API token at the admin door': (edge) =>
        edge.call('GET', '/v1/admin/tenants', acme.token, undefined, { ...WORKER }),
      'a junk token at the browser door': (edge) => askIceServers(edge, 'acme', 'junk', { headers: WORKER }),
      'a JWT of another key': async (edge) =>
        askIceServers(edge, 'acme', await jwtOf(await newKey('good')), { headers: WORKER }),
      'a foreign origin': (edge) => askIceServers(edge, 'acme', 'junk', { origin: 'null', headers: WORKER }),
      'a preflight': (edge) => preflight(edge, 'acme', APP, WORKER),
    }
    for (const [cache, bring] of Object.entries(CACHES)) {
      for (const [what, ask] of Object.entries(bad)) {
        const { asked, bindings } = limiters()
        await ask(newBroker({ ...bindings, ...(await bring()) }))
        const { RATE_UNPROVEN: _, ...counted } = asked
        expect(counted, `${what}, KV ${cache}`).toEqual({
          RATE_IP: ['2a06:98c0:3600:0::/64'],
          RATE_SITE: ['2a06:98c0:3600::/48'],
        })
        for (const full of ['RATE_IP', 'RATE_SITE']) {
          const refused = await ask(newBroker({ ...limiters(full).bindings, ...(await bring()) }))
          expect(outcomeOf(refused), `${what}, KV ${cache}, ${full}`).toMatch(/^429 (rate_limited|31018)$/)
        }
      }
    }
  })

  it.each([
    ['192.0.2.1', '192.0.2.1', undefined],
    ['::ffff:192.0.2.1', '192.0.2.1', undefined],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64', '2001:db8:1::/48'],
    ['2001:0DB8:0001:0002::1', '2001:db8:1:2::/64', '2001:db8:1::/48'],
    ['2001:db8::1', '2001:db8:0:0::/64', '2001:db8:0::/48'],
    ['::1', '0:0:0:0::/64', '0:0:0::/48'],
    ['', '', undefined],
  ])('G18: The address %s is counted as %s and %s', (address, block, site) => {
    expect(addressBlocks(address)).toEqual({ block, site })
  })
})

it('G18: The last entry that KV has of a tenant may go: its tokens are counted and served as before', async () => {
  const { acme, good } = await requests()
  await env.CACHE.delete(snapshotKey(acme.id))
  const { asked, bindings } = limiters('RATE_IP', 'RATE_SITE', 'RATE_UNPROVEN')
  const answer = await good['an API token mints']?.(newBroker(bindings))
  expect(answer?.status).toBe(201)
  expect(asked).toEqual({ RATE_TENANT: ['acme'] })
})
