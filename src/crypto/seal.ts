/**
 * Sealing: AES-256-GCM with a key derived from a random salt, and a random 96-bit nonce. The additional data binds the
 * format, the root key's id, the purpose and the record, so that a sealed text moved to another record does not open.
 * Format: `1.{root key id}.{base64url(salt ‖ nonce ‖ ciphertext)}`.
 */
import { base64url, fromBase64url, randomBytes } from './encoding.ts'
import { deriveSealingKey, type Purpose, type RootKeys } from './rootKeys.ts'

const FORMAT = '1'
const SALT_BYTES = 16
const NONCE_BYTES = 12

/** The record that a secret belongs to. Every field is bound by the additional data. */
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

/** The plaintext, or `undefined`: the text was changed, the place differs, or the root key is not configured. */
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

/** Id of the root key that a sealed text needs; `undefined` if the format is unknown. */
export const rootKeyOf = (sealed: string): string | undefined => {
  const [format, rootKeyId] = sealed.split('.')
  return format === FORMAT ? rootKeyId : undefined
}

function additionalData(rootKeyId: string, place: Place): Uint8Array<ArrayBuffer> {
  // JSON of a fixed-length array is unambiguous: two different places never have the same encoding.
  const bound = [FORMAT, rootKeyId, place.purpose, place.tenant, place.record, place.version]
  return Uint8Array.from(new TextEncoder().encode(JSON.stringify(bound)))
}
