/** Keyed hashes: HMAC-SHA-256 with a key derived per purpose and tenant, imported once per isolate. */
import { base64url } from './encoding.ts'
import { deriveMacKey, type MacPurpose, type RootKeys } from './rootKeys.ts'

const MAX_KEYS = 1_000
// Keys, not promises of them: an import that is cut short with its object would be waited for by all others of the isolate.
const imported = new WeakMap<RootKeys, Map<string, CryptoKey>>()

/** The key of a root key, purpose and tenant; `undefined` when the ring does not hold the root key. */
export async function macKey(
  keys: RootKeys,
  at: { readonly rootKey: string; readonly purpose: MacPurpose; readonly tenant: string },
): Promise<CryptoKey | undefined> {
  const known = imported.get(keys) ?? new Map<string, CryptoKey>()
  imported.set(keys, known)
  const name = `${at.rootKey} ${at.purpose} ${at.tenant}`
  const remembered = known.get(name)
  if (remembered) return remembered
  const root = await keys.get(at.rootKey)
  if (!root) return
  const key = await importKey(root, at.purpose, at.tenant)
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

async function importKey(root: CryptoKey, purpose: MacPurpose, tenant: string): Promise<CryptoKey> {
  const bytes = await deriveMacKey(root, purpose, tenant)
  return crypto.subtle.importKey('raw', bytes, { name: 'HMAC', hash: 'SHA-256' }, false, ['sign', 'verify'])
}
