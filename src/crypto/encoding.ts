/** Encodings of bytes: base64url and base62. Must not keep secrets. */

export const base64url = (bytes: Uint8Array): string => bytes.toBase64({ alphabet: 'base64url', omitPadding: true })

/** Accepts only what `base64url` writes. Throws on padding, white space or unused bits at the end. */
export function fromBase64url(text: string): Uint8Array<ArrayBuffer> {
  // `strict` would require padding, and both modes accept white space. So the bytes are encoded again and compared.
  const bytes = Uint8Array.fromBase64(text, { alphabet: 'base64url' })
  if (base64url(bytes) !== text) throw new SyntaxError('not canonical base64url')
  return bytes
}

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** Big-endian base62, left-padded with '0' to `width` characters. */
export function base62(bytes: Uint8Array, width: number): string {
  let rest = bytes.length === 0 ? 0n : BigInt(`0x${bytes.toHex()}`)
  let text = ''
  while (rest > 0n) {
    text = BASE62.charAt(Number(rest % 62n)) + text
    rest /= 62n
  }
  return text.padStart(width, '0')
}

export const randomBytes = (length: number): Uint8Array<ArrayBuffer> => crypto.getRandomValues(new Uint8Array(length))
