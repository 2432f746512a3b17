/** HMAC-SHA-256 with a key derived per purpose and tenant. A key is imported once per isolate. */
import { base64url } from './encoding.ts'
import { deriveMacKey, type MacPurpose, type RootKeys } from './rootKeys.ts'

const MAX_KEYS = 1_000
// Caches keys, not promises: the import of an aborted object never settles, and the whole isolate would wait for it.
const imported = new WeakMap<RootKeys, Map<string, CryptoKey>>()

/** The HMAC key of a root key, purpose and tenant; `undefined` if the root key is not configured. */
export async function macKey(
  keys: RootKeys,
  keyOf: { readonly rootKey: string; readonly purpose: MacPurpose; readonly tenant: string },
): Promise<CryptoKey | undefined> {
  const cache = imported.get(keys) ?? new Map<string, CryptoKey>()
  imported.set(keys, cache)
  const name = `${keyOf.rootKey} ${keyOf.purpose} ${keyOf.tenant}`
  const cached = cache.get(name)
  if (cached) return cached
  const root = await keys.get(keyOf.rootKey)
  if (!root) return
  const key = await importKey(root, keyOf.purpose, keyOf.tenant)
  const [oldest] = cache.keys()
  if (cache.size >= MAX_KEYS && oldest !== undefined) cache.delete(oldest)
  cache.set(name, key)
  return key
}

/** HMAC of a text as `{root key id}.{base64url}`. Only holders of the root key can compare it with a known text. */
export async function keyedDigest(
  keys: RootKeys,
  of: { readonly purpose: MacPurpose; readonly tenant: string },
  content: string | Uint8Array<ArrayBuffer>,
): Promise<string> {
  const key = await macKey(keys, { rootKey: keys.current, ...of })
  if (!key) throw new Error('the current root key is always in the ring')
  const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
  const mac = await crypto.subtle.sign('HMAC', key, bytes)
  return `${keys.current}.${base64url(new Uint8Array(mac))}`
}

async function importKey(root: CryptoKey, purpose: MacPurpose, tenant: string): Promise<CryptoKey> {
  const bytes = await deriveMacKey(root, purpose, tenant)
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
}
