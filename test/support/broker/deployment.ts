/**
 * The broker as another deployment would run it: other variables, over the same storage. Its objects are built again
 * from the real classes with these variables; what was deployed before sleeps meanwhile.
 */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { Account } from '../../../src/account/account.ts'
import { Tenant } from '../../../src/tenant/tenant.ts'
import { newBroker } from './broker.ts'

type Method = (...given: unknown[]) => Promise<unknown>

/** Called before and after every call of an object; what it does not resolve goes no further. */
export type Step = (what: string) => Promise<void>

export function deploy(variables: object, step: Step = () => Promise.resolve()) {
  const bindings = { ...env, ...variables } as Env // tests also pass broken environments
  const tenants = namespace(env.TENANTS, (state) => new Tenant(state, bindings), step)
  const account = namespace(env.ACCOUNT, (state) => new Account(state, bindings), step)
  Object.assign(bindings, { TENANTS: tenants.binding, ACCOUNT: account.binding })
  return {
    ...newBroker(bindings),
    tenant: (id: string) => tenants.binding.get(tenants.binding.idFromName(id)),
    account: () => account.binding.get(account.binding.idFromName('account')),
    /** Runs what is due, of a tenant or of the Account. */
    runTenant: (id: string) => tenants.alarm(id),
    runAccount: () => account.alarm('account'),
  }
}

function namespace<T extends Tenant | Account>(
  real: DurableObjectNamespace<T>,
  build: (state: DurableObjectState) => Tenant | Account,
  step: Step,
) {
  const instances = new Map<string, Tenant | Account>()
  const call = async (stub: DurableObjectStub, method: string, given: unknown[]) => {
    await step(`${method} asked`)
    const answer = await runInDurableObject(stub, async (_, state) => {
      const id = String(state.id)
      const object = instances.get(id) ?? build(state)
      instances.set(id, object)
      // Called by its name, as RPC does.
      return (object as unknown as Record<string, Method>)[method]?.(...given)
    })
    await step(`${method} answered`)
    return answer
  }
  const get = (id: DurableObjectId, options?: DurableObjectNamespaceGetDurableObjectOptions) =>
    new Proxy(real.get(id, options), {
      get: (stub, method) =>
        method === 'then' ? undefined : (...given: unknown[]) => call(stub, String(method), given),
    })
  const binding = { idFromName: (name: string) => real.idFromName(name), get } as unknown as typeof real // all that is used of one
  return { binding, alarm: (name: string) => call(real.get(real.idFromName(name)), 'alarm', []) }
}
