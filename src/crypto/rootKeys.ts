/**
 * The key ring of root keys: `ROOT_KEYS = id:base64(32 bytes)[,id:…]`. The first one is current.
 * HKDF-SHA-256 (RFC 5869) derives one key per purpose and record. A root key itself never encrypts.
 */

const ROOT_KEY_BYTES = 32
const MAX_ROOT_KEYS = 8
const ROOT_KEY_ID = /^[A-Za-z0-9-]{1,16}$/

/** What a derived key is for. The purpose is part of the HKDF label, so keys of two purposes differ. */
export type Purpose = 'turn-key-secret' | 'ice-password' | 'page-cursor' | 'token-check'

export interface RootKeys {
  /** Id of the first key, which seals and signs. */
  readonly current: string
  readonly ids: readonly string[]
  /** The HKDF input key, imported once per isolate; `undefined` if the id is not configured. */
  get(id: string): Promise<CryptoKey | undefined>
}

/** Parses `ROOT_KEYS`; `undefined` if malformed. Does not report which part was wrong, because all of it is secret. */
export function parseRootKeys(text: string): RootKeys | undefined {
  const raw = new Map<string, Uint8Array<ArrayBuffer>>()
  for (const entry of text.split(',')) {
    const [id, encoded, ...more] = entry.trim().split(':')
    if (id === undefined || encoded === undefined || more.length > 0 || !ROOT_KEY_ID.test(id) || raw.has(id)) return
    const bytes = decode(encoded)
    if (bytes?.byteLength !== ROOT_KEY_BYTES) return
    raw.set(id, bytes)
  }
  const [current] = raw.keys()
  if (current === undefined || raw.size > MAX_ROOT_KEYS) return

  // Caches keys, not promises: see mac.ts.
  const imported = new Map<string, CryptoKey>()
  return {
    current,
    ids: [...raw.keys()],
    async get(id) {
      const bytes = raw.get(id)
      if (!bytes) return
      const cached = imported.get(id)
      if (cached) return cached
      const key = await crypto.subtle.importKey('raw', bytes, 'HKDF', false, ['deriveKey', 'deriveBits'])
      imported.set(id, key)
      return key
    },
  }
}

/** An AES-256-GCM key for one purpose and one record. */
export function deriveSealingKey(
  rootKey: CryptoKey,
  purpose: Purpose,
  salt: Uint8Array<ArrayBuffer>,
): Promise<CryptoKey> {
  const info = new TextEncoder().encode(`turn-broker/seal/1/${purpose}`)
  return crypto.subtle.deriveKey(
    { name: 'HKDF', hash: 'SHA-256', salt, info },
    rootKey,
    { name: 'AES-GCM', length: 256 },
    false,
    ['encrypt', 'decrypt'],
  )
}

/** Purposes of HMAC keys. Each tenant has its own key. */
export type MacPurpose = 'client-token' | 'audit-digest' | 'body-hash' | 'rate-limit'

/** An HMAC-SHA-256 key for one purpose and one tenant, as 32 raw bytes. */
export async function deriveMacKey(
  rootKey: CryptoKey,
  purpose: MacPurpose,
  tenant: string,
): Promise<Uint8Array<ArrayBuffer>> {
  const info = new TextEncoder().encode(`turn-broker/mac/1/${purpose}/${tenant}`)
  const bits = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(), info },
    rootKey,
    256,
  )
  return new Uint8Array(bits)
}

function decode(encoded: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    return Uint8Array.fromBase64(encoded, { lastChunkHandling: 'strict' })
  } catch {
    return
  }
}
