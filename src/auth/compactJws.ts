/** JWS compact serialization (RFC 7515 §7.1): three parts of canonical, unpadded base64url. Verifies nothing. */
import { parseStrictJson } from '../contract/strictJson.ts'
import { fromBase64url } from '../crypto/encoding.ts'

export const MAX_JWT_CHARACTERS = 16_384
/** Of objects and lists in each other. */
const MAX_DEPTH = 32

export interface CompactJws {
  readonly header: object
  readonly payload: object
}

/**
 * Unverified header and payload, or `undefined`. Stricter than jose: padding, white space and a repeated name are refused
 * (RFC 7519 §4 leaves it to the reader which of two equal claims counts).
 */
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
  const parsed = parseStrictJson(bytes, { maxDepth: MAX_DEPTH, ignoreBOM: true })
  const value = 'json' in parsed ? parsed.json : undefined
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : undefined
}
