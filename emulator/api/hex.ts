// Random hex and SHA-256 in hex, from WebCrypto alone.

const MAX_REMEMBERED_HASHES = 1_000

export function randomHex(characters: number): string {
  return toHex(crypto.getRandomValues(new Uint8Array(characters / 2)))
}

/** Remembers: a few bearers come again and again, and WebCrypto's hash is the dearest step of a plain request. */
export class Sha256Memo {
  readonly #hashes = new Map<string, string>()

  async hexOf(value: string): Promise<string> {
    const known = this.#hashes.get(value)
    if (known !== undefined) return known
    const hash = toHex(new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(value))))
    if (this.#hashes.size >= MAX_REMEMBERED_HASHES) this.#hashes.clear()
    this.#hashes.set(value, hash)
    return hash
  }
}

function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
