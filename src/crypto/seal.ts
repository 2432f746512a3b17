/**
 * Sealing: AES-256-GCM with a key derived per record (random salt) and a random 96-bit nonce.
 * The additional data binds the format, the root key's id, the purpose and the place the secret belongs to,
 * so that a sealed text opens only where it was sealed for. `1.{root key id}.{base64url(salt ‖ nonce ‖ ciphertext)}`.
 */
import { base64url, fromBase64url, randomBytes } from './encoding.ts'
import { deriveSealingKey, type Purpose, type RootKeys } from './rootKeys.ts'

const FORMAT = '1'
const SALT_BYTES = 16
const NONCE_BYTES = 12

/** Where a secret belongs. Each part is bound: tenant, record and version of the record, in a fixed order. */
export interface Place {
  readonly purpose: Purpose
  readonly tenant: string
  readonly record: string
  readonly version: number
}

export async function seal(keys: RootKeys, place: Place, plaintext: string): Promise<string> {
  const rootKey = await keys.get(keys.current)
  if (!rootKey) throw new Error('the current root key is always in the ring')
  const salt = randomBytes(SALT_BYTES)
  const nonce = randomBytes(NONCE_BYTES)
  const key = await deriveSealingKey(rootKey, place.purpose, salt)
  const ciphertext = await crypto.subtle.encrypt(
    { name: 'AES-GCM', iv: nonce, additionalData: additionalData(keys.current, place) },
    key,
    new TextEncoder().encode(plaintext),
  )
  const sealed = new Uint8Array(SALT_BYTES + NONCE_BYTES + ciphertext.byteLength)
  sealed.set(salt)
  sealed.set(nonce, SALT_BYTES)
  sealed.set(new Uint8Array(ciphertext), SALT_BYTES + NONCE_BYTES)
  return `${FORMAT}.${keys.current}.${base64url(sealed)}`
}

/** The plaintext, or `undefined` when anything about it is not as it was sealed: a bit, the place, the root key. */
export async function open(keys: RootKeys, place: Place, sealed: string): Promise<string | undefined> {
  const [format, rootKeyId, body, ...more] = sealed.split('.')
  if (format !== FORMAT || rootKeyId === undefined || body === undefined || more.length > 0) return
  const rootKey = await keys.get(rootKeyId)
  if (!rootKey) return
  try {
    const bytes = fromBase64url(body)
    const key = await deriveSealingKey(rootKey, place.purpose, bytes.slice(0, SALT_BYTES))
    const plaintext = await crypto.subtle.decrypt(
      {
        name: 'AES-GCM',
        iv: bytes.slice(SALT_BYTES, SALT_BYTES + NONCE_BYTES),
        additionalData: additionalData(rootKeyId, place),
      },
      key,
      bytes.slice(SALT_BYTES + NONCE_BYTES),
    )
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(plaintext)
  } catch {
    return
  }
}

/** Which root key a sealed text needs; `undefined` when it is not one of ours. */
export const rootKeyOf = (sealed: string): string | undefined => {
  const [format, rootKeyId] = sealed.split('.')
  return format === FORMAT ? rootKeyId : undefined
}

function additionalData(rootKeyId: string, place: Place): Uint8Array<ArrayBuffer> {
  // JSON of a fixed-length array is unambiguous: no two places share an encoding.
  const bound = [FORMAT, rootKeyId, place.purpose, place.tenant, place.record, place.version]
  return Uint8Array.from(new TextEncoder().encode(JSON.stringify(bound)))
}
