/** Where a tenant's object is created: its region is the location hint of the first call, or there is none. */
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { REGIONS } from '../../src/contract/resources/tenants.ts'
import { expectStatus, newBroker } from '../support/broker/broker.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

it('A tenant is created with its region as location hint, and without one in the region nearest to the Account', async () => {
  const broker = newBroker()
  const get = vi.spyOn(Object.getPrototypeOf(env.TENANTS) as DurableObjectNamespace, 'get')
  const rows = [
    ...REGIONS.map((region) => [{ region }, region, { locationHint: region }] as const),
    [{}, 'nearest', {}] as const,
    [{ region: 'nearest' }, 'nearest', {}] as const,
  ]
  for (const [index, [chosen, shown, options]] of rows.entries()) {
    const id = `t${index}`
    get.mockClear()
    const created = await broker.admin('POST', '/tenants', { id, name: id, ...chosen })
    expectStatus(created, 201)
    expect(created.json.region).toBe(shown)
    const [first] = get.mock.calls.filter(([{ name }]) => name === id)
    expect(first?.[1], shown).toEqual(options)
    expect((await broker.admin('GET', `/tenants/${id}`)).json.region).toBe(shown)
  }
  const listed = await broker.admin('GET', '/tenants')
  expect(listed.json.items.map(({ region }: { region: string }) => region)).toEqual(
    rows.map(([, shown]) => shown).toReversed(),
  )
})
