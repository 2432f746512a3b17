/** G19: an end user's name stands in one row and nowhere else: not in hashes that can be guessed, nor at the rate limiter. */
import { listDurableObjectIds } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import type { RouteName } from '../../src/contract/routes.ts'
import { sha256 } from '../../src/crypto/digest.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, passTime } from '../support/broker/clock.ts'
import { tenantPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { rowOf } from '../support/contract/accessRows.ts'
import { furnishAll, pathOf, routes } from '../support/contract/callers.ts'
import { everythingStored, rowsOf, runJobs } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

const NAME = 'alice@example.com'

/** A walk that names a subject wherever a request can. */
async function walked() {
  const acme = await newIssuer()
  const broker = newBroker()
  expectStatus(await acme.ice(await acme.clientToken(NAME)), 201)
  const body = { subject: NAME }
  const keyed = { 'idempotency-key': 'k' }
  expectStatus(await broker.call('POST', tenantPath('acme', 'revocations'), env.ADMIN_TOKEN, body, keyed), 202)
  const { subjectId } = (await broker.call('POST', tenantPath('acme', 'subjects/search'), env.ADMIN_TOKEN, body)).json
  return { acme, broker, subjectId: String(subjectId), body: JSON.stringify(body) }
}

describe('an erased subject', () => {
  it('G19: Nothing that is stored after an erasure holds the name or an unkeyed hash of a body that named it', async () => {
    const { broker, subjectId, body } = await walked()
    expect(await everythingStored()).toContain(NAME)
    expectStatus(await broker.call('DELETE', tenantPath('acme', `subjects/${subjectId}`), env.ADMIN_TOKEN), 204)
    const stored = await everythingStored()
    expect(stored).toContain(subjectId)
    // A dictionary of e-mail addresses: what anybody without the root key can compute.
    for (const guess of [NAME, NAME.toUpperCase(), body, `acme ${NAME}`]) {
      const bytes = new TextEncoder().encode(guess)
      const hex = bytes.toHex()
      expect(stored).not.toContain(guess)
      expect(stored).not.toContain(hex)
      expect(stored).not.toContain(await sha256(guess))
    }
  })

  it('G19: The record of an Idempotency-Key is deleted after a day, also when the tenant never sends another one', async () => {
    await walked()
    const rows = () => tenantSql('acme', 'SELECT key FROM idempotency')
    expect(await rows()).toHaveLength(1)
    passTime(DAY_MS + HOUR_MS)
    await runJobs('acme')
    expect(await rows()).toEqual([])
  })
})

describe('the rate limiter of subjects', () => {
  it('G19: The rate limiter of subjects is given no name', async () => {
    const acme = await newIssuer()
    const keys: string[] = []
    const limit = ({ key }: { key: string }) => Promise.resolve({ success: keys.push(key) > 0 })
    const edge = newBroker({ RATE_SUBJECT: { limit }, RATE_IP: { limit }, RATE_TENANT: { limit } })
    const headers = { authorization: `Bearer ${await acme.clientToken(NAME)}` }
    expectStatus(await edge.call('POST', tenantPath('acme', 'ice-servers'), undefined, undefined, headers), 201)
    expect(keys.length).toBeGreaterThan(0)
    const unkeyed = await sha256(NAME)
    for (const key of keys) for (const guess of [NAME, unkeyed]) expect(key).not.toContain(guess)
  })
})

describe('a walk over every route that names a subject wherever a request can', () => {
  /** These take away what the walk needs. */
  const NOT_WALKED: readonly RouteName[] = ['tenantDelete', 'subjectErase', 'turnKeyDelete', 'apiTokenDelete']
  const BODIES: Partial<Record<RouteName, object>> = {
    credentialGenerate: { customIdentifier: NAME, ttl: 600 },
    credentialGenerateIceServers: { customIdentifier: NAME, ttl: 600 },
    tenantPatch: { name: 'Renamed' },
  }

  async function walk() {
    const limited: string[] = []
    const limit = ({ key }: { key: string }) => Promise.resolve({ success: limited.push(key) > 0 })
    const broker = newBroker({ RATE_SUBJECT: { limit }, RATE_IP: { limit }, RATE_TENANT: { limit } })
    const acme = await furnishAll(broker, 'acme')
    const { token: clientToken } = (
      await broker.call('POST', tenantPath('acme', 'client-tokens'), acme.token, { subject: NAME })
    ).json
    const walked = routes.filter(([name]) => !NOT_WALKED.includes(name))
    const answered: string[] = []
    for (const [name, route] of walked) {
      const { body: given, query = '', headers } = rowOf(name)
      const body = BODIES[name] ?? (typeof given === 'function' ? await given() : given)
      const isBrowser = route.access === 'client-token'
      const ask = async (path: string, sent?: unknown) => {
        const token = isBrowser ? clientToken : env.ADMIN_TOKEN
        const { status } = await broker.call(route.method, path, String(token), sent, headers)
        if (status < 300) answered.push(name)
      }
      const named = body && 'subject' in body ? { ...body, subject: NAME } : body
      await ask(pathOf(route, acme) + query.replace('somebody', NAME), named)
      // Wrong in every way: as a field that is not known, as any id, as any parameter.
      if (route.method !== 'GET') await ask(pathOf(route, acme), { ...named, subject: NAME, [NAME]: NAME })
      const asId = { ...acme, username: NAME, subjectId: NAME, banId: NAME, revocationId: NAME, keyId: NAME }
      const filters = ['cursor', 'subjectId', 'keyId', 'target', 'actor', NAME].map((filter) => `${filter}=${NAME}`)
      await ask(`${pathOf(route, asId)}?${filters.join('&')}`, named)
    }
    await runJobs('acme')
    return { broker, limited, answered: new Set(answered), walked: walked.map(([name]) => name) }
  }

  /** Each table that has the name, with the number of its rows. */
  async function tablesWithName(): Promise<string[]> {
    const found: string[] = []
    for (const namespace of [env.TENANTS, env.ACCOUNT] as DurableObjectNamespace[]) {
      for (const id of await listDurableObjectIds(namespace)) {
        for (const [table, rows] of Object.entries(await rowsOf(namespace.get(id)))) {
          const named = rows.filter((row) => JSON.stringify(row).includes(NAME))
          if (named.length > 0) found.push(`${table}: ${named.length}`)
        }
      }
    }
    return found
  }

  it('G19: After a walk over every route one row of the table subjects holds the name, and no other row, entry, key or log line', async () => {
    const logged: string[] = []
    for (const level of ['log', 'info', 'warn', 'error', 'debug'] as const) {
      vi.spyOn(console, level).mockImplementation((...line) => void logged.push(JSON.stringify(line)))
    }
    const { broker, limited, answered, walked } = await walk()
    vi.restoreAllMocks()
    // The local runtime cannot restore.
    expect(walked.filter((name) => !answered.has(name))).toEqual(['tenantRestore'])
    expect(await tablesWithName()).toEqual(['subjects: 1'])
    expect(await everythingStored('subjects')).not.toContain(NAME)
    expect(limited.length).toBeGreaterThan(0)
    expect(logged.length).toBeGreaterThan(walked.length)
    for (const text of [...limited, ...logged, JSON.stringify(await emulator.log())]) {
      for (const guess of [NAME, encodeURIComponent(NAME), await sha256(NAME)]) expect(text).not.toContain(guess)
    }

    const search = () => broker.call('POST', tenantPath('acme', 'subjects/search'), env.ADMIN_TOKEN, { subject: NAME })
    const { subjectId } = (await search()).json
    expectStatus(await broker.call('DELETE', tenantPath('acme', `subjects/${subjectId}`), env.ADMIN_TOKEN), 204)
    expect(await tablesWithName()).toEqual([])
    expectStatus(await search(), 404)
  })
})
