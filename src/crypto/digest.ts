/** SHA-256 digests, and their comparison in constant time. Secrets are compared only as digests. */
import { base64url } from './encoding.ts'

const utf8 = new TextEncoder()

/** SHA-256 of a text (as UTF-8) or of bytes, in base64url. */
export async function sha256(data: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const bytes = typeof data === 'string' ? utf8.encode(data) : data
  return base64url(new Uint8Array(await crypto.subtle.digest('SHA-256', bytes)))
}

/** Compares two digests of `sha256` in constant time. Unequal lengths are unequal and do not throw. */
export function sameDigest(a: string, b: string): boolean {
  const left = utf8.encode(a)
  const right = utf8.encode(b)
  // workerd's timingSafeEqual throws on unequal lengths. The length of a digest is no secret.
  return left.byteLength === right.byteLength && crypto.subtle.timingSafeEqual(left, right)
}
