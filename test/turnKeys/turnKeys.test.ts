/** TURN keys through the server door, as a tenant's back end sees them. */

import { describe, expect, it } from 'vitest'
import { keysPath, newBroker, newTenant, newTurnKey } from '../support/broker/broker.ts'

describe('a tenant and its TURN keys', () => {
  it('A tenant and its TURN keys creates a key, lists it, looks it up, renames it and deletes it', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme')

    const created = await broker.call('POST', keysPath('acme'), acme.token, { name: 'first' })
    expect(created.status, created.text).toBe(201)
    expect(created.json).toMatchObject({ success: true, errors: [], messages: [] })
    const { uid } = created.json.result
    expect(created.json.result).toEqual({
      uid: expect.stringMatching(/^[A-Za-z0-9_-]{32}$/),
      name: 'first',
      created: expect.any(String),
      modified: expect.any(String),
      state: 'active',
    })

    const list = await broker.call('GET', keysPath('acme'), acme.token)
    expect(list.json.result, list.text).toEqual([created.json.result])
    const got = await broker.call('GET', keysPath('acme', uid), acme.token)
    expect(got.json.result, got.text).toEqual(created.json.result)

    const renamed = await broker.call('PUT', keysPath('acme', uid), acme.token, { name: 'second' })
    expect(renamed.json.result, renamed.text).toMatchObject({ uid, name: 'second' })
    expect((await broker.call('GET', keysPath('acme', uid), acme.token)).json.result.name).toBe('second')

    const deleted = await broker.call('DELETE', keysPath('acme', uid), acme.token)
    expect(deleted.json, deleted.text).toMatchObject({ success: true, result: { uid, name: 'second' } })
    const gone = await broker.call('GET', keysPath('acme', uid), acme.token)
    expect(gone.status).toBe(404)
    expect(gone.json.errors[0].code).toBe(20008)
    expect((await broker.call('GET', keysPath('acme'), acme.token)).json.result).toEqual([])
  })

  it('A tenant and its TURN keys shows the key secret only to a token with turn_keys:reveal', async () => {
    const broker = newBroker()
    const acme = await newTenant(broker, 'acme', { scopes: ['turn_keys:write', 'turn_keys:reveal'] })
    const created = await broker.call('POST', keysPath('acme'), acme.token, {})
    expect(created.json.result.key, created.text).toMatch(/^.{64}$/)
    expect(created.headers.get('cache-control')).toBe('no-store')
    await newTurnKey(broker, acme)
  })
})
