/** SHA-256 digests, and their comparison in constant time. Secrets are compared only as digests. */
import { base64url } from './encoding.ts'

const utf8 = new TextEncoder()
/** Where a short text is encoded. A digest copies the bytes when it is asked for, and they are erased at once. */
const scratch = new Uint8Array(1_024)

/** SHA-256 of a text (as UTF-8) or of bytes, in base64url. */
export async function sha256(data: string | Uint8Array<ArrayBuffer>): Promise<string> {
  return base64url(new Uint8Array(await (typeof data === 'string' ? digestOf(data) : hash(data))))
}

const hash = (bytes: Uint8Array): Promise<ArrayBuffer> => crypto.subtle.digest('SHA-256', bytes)

function digestOf(text: string): Promise<ArrayBuffer> {
  // UTF-8 has three bytes at most for each unit of UTF-16.
  if (text.length * 3 > scratch.length) return hash(utf8.encode(text))
  const { written } = utf8.encodeInto(text, scratch)
  const digest = hash(scratch.subarray(0, written))
  scratch.fill(0, 0, written)
  return digest
}

/** Compares two digests of `sha256` in constant time. Unequal lengths are unequal and do not throw. */
export function sameDigest(a: string, b: string): boolean {
  const left = utf8.encode(a)
  const right = utf8.encode(b)
  // workerd's timingSafeEqual throws on unequal lengths. The length of a digest is no secret.
  return left.byteLength === right.byteLength && crypto.subtle.timingSafeEqual(left, right)
}
