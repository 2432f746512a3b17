/** Encodings of bytes: base64url, base62, and the CRC-32 checksum of API tokens. Must not keep secrets. */

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

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, index) => {
  let value = index
  for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1
  return value
})

/** CRC-32 (ISO-HDLC, as in zlib) of an ASCII text. Detects typing errors; it is no proof. */
export function crc32(text: string): Uint8Array {
  let crc = 0xffffffff
  for (let i = 0; i < text.length; i++) crc = (CRC_TABLE[(crc ^ text.charCodeAt(i)) & 0xff] ?? 0) ^ (crc >>> 8)
  const value = ~crc >>> 0
  return Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff)
}
