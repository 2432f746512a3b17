/** Bindings as a test wants them for the Worker at the edge: counted, stale or broken. The objects keep the real ones. */
import { env } from 'cloudflare:workers'

/** The Durable Object namespaces, and how often an object was reached for since `count` was reset. */
export function countedObjects() {
  const reached = { count: 0 }
  const counted = <T extends object>(namespace: T): T =>
    new Proxy(namespace, {
      get(target, name) {
        if (name === 'get') reached.count++
        const value: unknown = Reflect.get(target, name)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
  return { reached, TENANTS: counted(env.TENANTS), ACCOUNT: counted(env.ACCOUNT) }
}

/** KV as another location may still see it: everything as it is now, whatever is written later. */
export async function staleCache(): Promise<KVNamespace> {
  const { keys } = await env.CACHE.list()
  const texts = new Map<string, string>()
  for (const { name } of keys) texts.set(name, (await env.CACHE.get(name)) ?? 'null')
  const get = async (key: string, { type }: { type: 'text' | 'json' }): Promise<unknown> => {
    const text = texts.get(key) ?? null
    return type === 'json' ? JSON.parse(text ?? 'null') : text
  }
  return { get } as unknown as KVNamespace // the edge only reads
}

/** KV that cannot be read. */
export const brokenCache = (): KVNamespace =>
  ({ get: () => Promise.reject(new Error('KV is out of reach')) }) as unknown as KVNamespace // the edge only reads
