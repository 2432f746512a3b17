/** G3: a tenant can neither read, use, detect nor slow another's things. What it may not see answers byte-alike. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { RouteName } from '../src/contract/routes.ts'
import { type Answer, expectStatus, keysPath, newBroker, newTenant, newToken, newTurnKey } from './support/broker.ts'
import { forgedToken, furnish, furnishDeleted, pathOf, routes, type Things } from './support/callers.ts'
import { shown } from './support/contract.ts'
import { emulator } from './support/upstream.ts'

const BODIES: Partial<Record<RouteName, unknown>> = {
  turnKeyCreate: { name: 'new' },
  turnKeyUpdate: { name: 'other' },
  apiTokenRoll: {},
}

/** All of an answer that a caller can compare. */
const bytesOf = ({ status, headers, text }: Answer): string => {
  const id = headers.get('x-request-id') ?? 'no id'
  const fields = [...headers].filter(([name]) => name !== 'date').map((field) => field.join(': '))
  return [status, ...fields, text].join('\n').replaceAll(id, '(request id)')
}

describe('G3: isolation', () => {
  it("answers byte-alike for another's tenant, a suspended, a leaving, a deleted one and one that never was", async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const poor = await newToken(broker, 'acme', ['usage:read'])
    const other = await furnish(broker, 'other')
    const gone = await furnishDeleted(broker, 'gone')
    await furnish(broker, 'suspended')
    expectStatus(await broker.admin('PATCH', '/tenants/suspended', { status: 'suspended' }), 200)
    await furnish(broker, 'leaving')
    expectStatus(await broker.admin('DELETE', '/tenants/leaving?cascade=true'), 202)
    // Both caches of the other tenant are warm.
    expectStatus(await broker.call('GET', keysPath('other', other.keyId), other.token), 200)
    await emulator.clearLog()

    const tenants = ['other', 'suspended', 'leaving', 'gone', 'never-was', 'NEVER', 'x'.repeat(40), 'account']
    const keys = [other.keyId, gone.keyId, acme.keyId, 'k'.repeat(32), 'no-uid']
    const wrong: string[] = []
    for (const [name, route] of routes.filter(([, { access }]) => typeof access !== 'string')) {
      for (const token of [acme.token, poor.token, await forgedToken('acme')]) {
        const seen = new Set<string>()
        for (const tenant of tenants) {
          for (const keyId of route.path.includes(':key_id') ? keys : [other.keyId]) {
            const path = pathOf(route, { tenant, keyId, tokenId: other.tokenId })
            const answer = await broker.call(route.method, path, token, BODIES[name])
            if (answer.status < 400) wrong.push(`${name} let in: ${shown(answer)}`)
            seen.add(bytesOf(answer))
          }
        }
        if (seen.size !== 1) wrong.push(`${name} tells apart:\n${[...seen].join('\n\n')}`)
      }
    }
    expect(wrong).toEqual([])
    expect(await emulator.log(), 'nothing went upstream').toEqual([])
  })

  it("answers byte-alike for another's object, a deleted one, and one that never was", async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    const other = await furnish(broker, 'other')
    const gone = await furnishDeleted(broker, 'gone')
    const deletedKey = await newTurnKey(broker, acme)
    expectStatus(await broker.call('GET', keysPath('acme', deletedKey), acme.token), 200)
    expectStatus(await broker.call('DELETE', keysPath('acme', deletedKey), acme.token), 200)
    const deletedToken = await newToken(broker, 'acme', ['usage:read'])
    expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${deletedToken.tokenId}`), 204)
    await emulator.clearLog()

    const objects = [
      { keyId: other.keyId, tokenId: other.tokenId },
      { keyId: gone.keyId, tokenId: gone.tokenId },
      { keyId: deletedKey, tokenId: deletedToken.tokenId },
      { keyId: 'k'.repeat(32), tokenId: 't'.repeat(12) },
      { keyId: 'no-uid', tokenId: 'no-id' },
      { keyId: '%2e%2e%2f', tokenId: '%00' },
    ]
    const wrong: string[] = []
    for (const [name, route] of routes.filter(([, { path }]) => /:(key_id|token_id)/.test(path))) {
      for (const token of route.access === 'admin' ? [env.ADMIN_TOKEN] : [acme.token, env.ADMIN_TOKEN]) {
        const seen = new Set<string>()
        for (const object of [...objects, ...objects]) {
          const things: Things = { tenant: 'acme', ...object }
          const answer = await broker.call(route.method, pathOf(route, things), token, BODIES[name])
          seen.add(bytesOf(answer))
        }
        if (seen.size !== 1 || ![...seen][0]?.startsWith('404\n')) wrong.push(`${name}:\n${[...seen].join('\n\n')}`)
      }
    }
    expect(wrong).toEqual([])
    expect(await emulator.log(), 'nothing went upstream').toEqual([])
  })

  it('keeps lists, counts and names apart', async () => {
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

  it('never shows the real account', async () => {
    const broker = newBroker()
    const acme = await furnish(broker, 'acme')
    for (const path of [keysPath('acme'), keysPath('acme', acme.keyId), '/v1/tenants/acme']) {
      const answer = await broker.call('GET', path, acme.token)
      expect(answer.text).not.toContain(env.CLOUDFLARE_ACCOUNT_ID)
    }
    const real = await broker.call('GET', keysPath(env.CLOUDFLARE_ACCOUNT_ID), acme.token)
    const never = await broker.call('GET', keysPath('never-was'), acme.token)
    expect(bytesOf(real)).toBe(bytesOf(never))
    await newTenant(broker, 'late')
  })
})
