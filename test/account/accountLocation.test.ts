/** Where the Account is created: whoever calls it first gives Cloudflare the location hint of the configuration. */
import { env } from 'cloudflare:workers'
import { afterEach, expect, it, vi } from 'vitest'
import { newTenant, newTurnKey } from '../support/broker/broker.ts'
import { deploy } from '../support/broker/deployment.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const hints = [
  ['the location hint of ACCOUNT_LOCATION', 'apac-ne', { locationHint: 'apac-ne' }],
  ['no location hint where ACCOUNT_LOCATION is absent', undefined, {}],
] as const

it.each(hints)(
  'Every caller of the Account gives %s: a probe, an operator and a tenant',
  async (_name, ACCOUNT_LOCATION, expected) => {
    const broker = deploy({ ACCOUNT_LOCATION })
    const get = vi.spyOn(Object.getPrototypeOf(env.ACCOUNT) as DurableObjectNamespace, 'get')
    /** The options of the stubs of the Account that `call` asks for. */
    const given = async (call: () => Promise<unknown>) => {
      get.mockClear()
      await call()
      return get.mock.calls.filter(([id]) => id.name === 'account').map(([, options]) => options)
    }
    let acme = { id: 'acme', token: '' }
    const calls = {
      probe: () => broker.send('/readyz'),
      operator: async () => {
        acme = await newTenant(broker, 'acme')
      },
      tenant: () => newTurnKey(broker, acme),
    }
    for (const [who, call] of Object.entries(calls)) {
      const options = await given(call)
      expect(options, who).not.toEqual([])
      for (const each of options) expect(each, who).toEqual(expected)
    }
  },
)
