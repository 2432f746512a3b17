/** JWS compact serialization (RFC 7515 §7.1): three parts of canonical, unpadded base64url. Verifies nothing. */
import { fromBase64url } from '../crypto/encoding.ts'

export const MAX_JWT_CHARACTERS = 16_384

export interface CompactJws {
  readonly header: object
  readonly payload: object
}

/** Unverified header and payload, or `undefined`. Stricter than jose: padding and white space are refused. */
export function decodeCompact(token: string): CompactJws | undefined {
  const parts = token.split('.')
  if (parts.length !== 3) return
  try {
    const [header, payload] = parts.map(fromBase64url).slice(0, 2).map(jsonObject)
    return header && payload ? { header, payload } : undefined
  } catch {
    return
  }
}

function jsonObject(bytes: Uint8Array): object | undefined {
  const value: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes))
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
}
