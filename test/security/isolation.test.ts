/** G3: a tenant can neither read, use, detect nor slow another's things. What it may not see answers byte-alike. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { ROUTES, type Route } from '../../src/contract/routes.ts'
import { type Broker, expectStatus, keysPath, newBroker, newToken, newTurnKey } from '../support/broker/broker.ts'
import { DAY_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { bytesOf, shown } from '../support/broker/contract.ts'
import { generate } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { rowOf } from '../support/contract/accessRows.ts'
import {
  furnish,
  furnishAll,
  furnishDeleted,
  NOBODYS,
  pathOf,
  routes,
  type Things,
} from '../support/contract/callers.ts'
import { leakedCheckToken } from '../support/secrets/apiTokens.ts'
import { runJobs } from '../support/storage/storage.ts'

const namesTenant = ({ path }: Route) => /:(account_id|tenant)/.test(path)

/** A tenant's things that were, by now gone without a trace: deleted, erased, expired, or kept long enough. */
async function formerThings(broker: Broker) {
  const acme = await furnishAll(broker, 'acme')
  const keyId = await newTurnKey(broker, acme)
  expectStatus(await broker.call('GET', keysPath('acme', keyId), acme.token), 200)
  expectStatus(await broker.call('DELETE', keysPath('acme', keyId), acme.token), 200)
  const { tokenId } = await newToken(broker, 'acme', ['usage:read'])
  expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${tokenId}`), 204)
  expectStatus(await broker.call('DELETE', `/v1/tenants/acme/subjects/${acme.subjectId}`, acme.token), 204)
  passTime(32 * DAY_MS)
  for (let round = 0; round < 3; round++) {
    await runJobs('acme')
    passTime(MINUTE_MS)
  }
  const { username } = await generate(broker, { uid: acme.keyId, token: acme.token }, { ttl: 60 })
  passTime(MINUTE_MS)
  const { subjectId, revocationId, banId } = acme
  return { acme, former: { keyId, tokenId, subjectId, revocationId, banId, username } }
}

/** Hundreds of requests: more than a test may usually take on a busy machine. */
const A_TABLE_MS = 60_000

describe('G3: isolation', () => {
  it(
    "G3: Isolation answers byte-alike for another's tenant, a suspended, a leaving, a deleted one and one that never was",
    async () => {
      const broker = newBroker()
      const acme = await furnishAll(broker, 'acme')
      const poor = await newToken(broker, 'acme', ['usage:read'])
      const other = await furnishAll(broker, 'other')
      await furnishDeleted(broker, 'gone')
      await furnish(broker, 'suspended')
      expectStatus(await broker.admin('PATCH', '/tenants/suspended', { status: 'suspended' }), 200)
      await furnish(broker, 'leaving')
      expectStatus(await broker.admin('DELETE', '/tenants/leaving?cascade=true'), 202)
      // Both caches of the other tenant are warm.
      expectStatus(await broker.call('GET', keysPath('other', other.keyId), other.token), 200)
      await emulator.clearLog()

      const tenants = ['other', 'suspended', 'leaving', 'gone', 'never-was', 'NEVER', 'x'.repeat(40), 'account']
      const objects = [acme, { ...NOBODYS, keyId: 'no-uid', subjectId: 'no-id', revocationId: '%00', banId: 'no-id' }]
      const things = tenants.map((tenant): Things => ({ ...other, tenant }))
      const objectsThere = ['other', 'never-was'].flatMap((tenant) => objects.map((it): Things => ({ ...it, tenant })))
      const wrong: string[] = []
      for (const [name, route] of routes.filter(([, it]) => typeof it.access === 'object' && namesTenant(it))) {
        const { body, query = '' } = rowOf(name)
        const hasObject = /:(key_id|subject_id|revocation_id|ban_id)/.test(route.path)
        for (const token of [acme.token, poor.token, await leakedCheckToken('acme')]) {
          const seen = new Set<string>()
          for (const thing of hasObject ? [...things, ...objectsThere] : things) {
            const answer = await broker.call(route.method, pathOf(route, thing) + query, token, body)
            if (answer.status < 400) wrong.push(`${name} let in: ${shown(answer)}`)
            seen.add(bytesOf(answer))
          }
          if (seen.size !== 1) wrong.push(`${name} tells apart:\n${[...seen].join('\n\n')}`)
        }
      }
      expect(wrong).toEqual([])
      expect(await emulator.log(), 'nothing went upstream').toEqual([])
    },
    A_TABLE_MS,
  )

  it(
    "G3: Isolation answers byte-alike for another's object, a deleted one, and one that never was",
    async () => {
      const broker = newBroker()
      const { acme, former } = await formerThings(broker)
      const gone = await furnishDeleted(broker, 'gone')
      const other = await furnishAll(broker, 'other')
      const poor = await newToken(broker, 'acme', ['usage:read'])
      await emulator.clearLog()

      const noId = { tokenId: 'no-id', subjectId: 'no-id', revocationId: 'no-id', banId: 'no-id' }
      const spelled = { tokenId: '%00', subjectId: '%00', revocationId: '%2e%2e%2f', banId: 'su_x' }
      const strangers = [
        ...[other, gone, former, NOBODYS],
        ...[
          { keyId: 'no-uid', ...noId },
          { keyId: '%2e%2e%2f', ...spelled },
        ],
      ]
      const wrong: string[] = []
      for (const [name, route] of routes.filter(([, { path }]) => /:(?!tenant|account_id|version)/.test(path))) {
        const { body } = rowOf(name)
        const ask = async (token: string, objects: Partial<Things>[]) => {
          const seen = new Set<string>()
          for (const object of [...objects, ...objects]) {
            const path = pathOf(route, { ...object, tenant: 'acme' })
            seen.add(bytesOf(await broker.call(route.method, path, token, body)))
          }
          return [...seen]
        }
        // An operator is answered that another tenant's key exists.
        const ofOperator = namesTenant(route) ? strangers : strangers.filter((object) => object !== other)
        const askers = [{ token: env.ADMIN_TOKEN, objects: ofOperator }]
        if (route.access !== 'admin') askers.push({ token: acme.token, objects: strangers })
        for (const { token, objects } of askers) {
          const seen = await ask(token, objects)
          if (seen.length !== 1 || !seen[0]?.startsWith('404\n')) wrong.push(`${name}:\n${seen.join('\n\n')}`)
        }
        if (route.access === 'admin') continue
        for (const token of [poor.token, await leakedCheckToken('acme')]) {
          // Of what cannot be an id it is said first.
          const seen = await ask(token, strangers.slice(0, 4))
          if (seen.length !== 1 || !/^40[13]\n/.test(`${seen[0]}`))
            wrong.push(`${name}, no scope:\n${seen.join('\n\n')}`)
        }
      }
      // At its own key, by the name of a credential.
      const revoke = ({ username }: Partial<Things>) =>
        pathOf(ROUTES.credentialRevoke, { ...acme, username: `${username}` })
      for (const token of [acme.token, env.ADMIN_TOKEN]) {
        const seen = new Set<string>()
        for (const object of [
          ...strangers.slice(0, 4),
          { username: '%20' },
          { username: '%ff' },
          { username: '..%2f' },
        ]) {
          seen.add(bytesOf(await broker.call('POST', revoke(object), token)))
        }
        expect([...seen]).toEqual([expect.stringMatching(/^404\n[\s\S]*No such credential/)])
      }
      expect(wrong).toEqual([])
      expect(await emulator.log(), 'nothing went upstream').toEqual([])
    },
    A_TABLE_MS,
  )

  it('G3: Isolation keeps lists, counts and names apart', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const other = await furnish(broker, 'other')
    for (const [mine, theirs] of [
      [acme, other],
      [other, acme],
    ] as const) {
      const list = await broker.call('GET', keysPath(mine.id), mine.token)
      expect(list.json.result, list.text).toMatchObject([{ uid: mine.keyId }])
      const self = await broker.call('GET', `/v1/tenants/${mine.id}`, mine.token)
      expect(self.json, self.text).toMatchObject({ id: mine.id, counts: { turnKeys: 1, apiTokens: 1 } })
      for (const { text } of [list, self]) {
        expect(text).not.toContain(theirs.keyId)
        expect(text).not.toContain(theirs.id)
      }
    }
  })

  it('G3: Isolation never shows the real account', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    for (const path of [keysPath('acme'), keysPath('acme', acme.keyId), '/v1/tenants/acme']) {
      const answer = await broker.call('GET', path, acme.token)
      expect(answer.text).not.toContain(env.CLOUDFLARE_ACCOUNT_ID)
    }
    const real = await broker.call('GET', keysPath(env.CLOUDFLARE_ACCOUNT_ID), acme.token)
    const never = await broker.call('GET', keysPath('never-was'), acme.token)
    expect(bytesOf(real)).toBe(bytesOf(never))
  })
})
