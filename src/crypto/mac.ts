/** Keyed hashes: HMAC-SHA-256 with a key derived per purpose and tenant, imported once per isolate. */
import { base64url } from './encoding.ts'
import { deriveMacKey, type MacPurpose, type RootKeys } from './rootKeys.ts'

const MAX_KEYS = 1_000
const imported = new WeakMap<RootKeys, Map<string, Promise<CryptoKey>>>()

/** The key of a root key, purpose and tenant; `undefined` when the ring does not hold the root key. */
export function macKey(
  keys: RootKeys,
  at: { readonly rootKey: string; readonly purpose: MacPurpose; readonly tenant: string },
): Promise<CryptoKey> | undefined {
  const root = keys.get(at.rootKey)
  if (!root) return
  const known = imported.get(keys) ?? new Map<string, Promise<CryptoKey>>()
  imported.set(keys, known)
  const name = `${at.rootKey} ${at.purpose} ${at.tenant}`
  const key = known.get(name) ?? importKey(root, at.purpose, at.tenant)
  const [oldest] = known.keys()
  if (known.size >= MAX_KEYS && oldest !== undefined) known.delete(oldest)
  known.set(name, key)
  return key
}

/** A keyed hash of a text, `{root key id}.{base64url}`: comparable by whoever holds the root key, meaningless to others. */
export async function keyedDigest(keys: RootKeys, tenant: string, text: string): Promise<string> {
  const key = await macKey(keys, { rootKey: keys.current, purpose: 'audit-digest', tenant })
  if (!key) throw new Error('the current root key is always in the ring')
  const mac = await crypto.subtle.sign('HMAC', key, new TextEncoder().encode(text))
  return `${keys.current}.${base64url(new Uint8Array(mac))}`
}

async function importKey(root: Promise<CryptoKey>, purpose: MacPurpose, tenant: string): Promise<CryptoKey> {
  const bytes = await deriveMacKey(await root, purpose, tenant)
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
}
