/** Names and stubs of Durable Objects. A Tenant object is named by the tenant's id. */

/** The only Account object. */
const ACCOUNT_NAME = 'account'

/**
 * Stub of the Account. `locationHint`: where the object is created by the first call there ever is; later calls ignore it.
 * Absent: near the Worker that makes that call.
 */
export const accountStub = <T extends Rpc.DurableObjectBranded | undefined>(
  namespace: DurableObjectNamespace<T>,
  locationHint: DurableObjectLocationHint | undefined,
): DurableObjectStub<T> => namespace.get(namespace.idFromName(ACCOUNT_NAME), locationHint ? { locationHint } : {})
