/** What a body says according to plain readers of the standards, written apart from the broker's: the measure of its parsers. */

/** `undefined`: no UTF-8, no JSON, a repeated name, or nested deeper than `maxDepth`. */
export function referenceJson(bytes: Uint8Array, maxDepth: number): { readonly json: unknown } | undefined {
  const text = utf8(bytes)
  if (text === undefined) return
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch {
    return
  }
  return namesAreUnique(text, maxDepth) ? { json } : undefined
}

/** Walks the tokens of valid JSON; each open object has its own set of names. */
function namesAreUnique(text: string, maxDepth: number): boolean {
  const open: (Set<string> | null)[] = []
  let last: string | undefined
  for (let at = 0; at < text.length; at++) {
    const letter = text.charAt(at)
    if (letter === '"') {
      const from = at
      do at += text.charAt(at) === '\\' ? 2 : 1
      while (text.charAt(at) !== '"')
      last = text.slice(from, at + 1)
    }
    if (letter === '{' || letter === '[') open.push(letter === '{' ? new Set() : null)
    if (letter === '}' || letter === ']') open.pop()
    if (open.length > maxDepth) return false
    if (letter !== ':') continue
    const names = open.at(-1)
    const name: unknown = JSON.parse(last ?? '""')
    if (typeof name !== 'string' || !names || names.has(name)) return false
    names.add(name)
  }
  return true
}

/**
 * The parser of the URL standard (application/x-www-form-urlencoded), on bytes. `undefined`: a percent sign without two hex digits,
 * what is no UTF-8 anywhere, or a repeated name: there readers differ.
 */
export function referenceForm(bytes: Uint8Array): Map<string, string> | undefined {
  const fields = new Map<string, string>()
  if (utf8(bytes) === undefined) return
  for (const pair of split(bytes, 0x26)) {
    if (pair.length === 0) continue
    const equals = pair.indexOf(0x3d)
    const [name, value] = [equals < 0 ? pair : pair.slice(0, equals), equals < 0 ? [] : pair.slice(equals + 1)].map(
      decoded,
    )
    if (name === undefined || value === undefined || fields.has(name)) return
    fields.set(name, value)
  }
  return fields
}

function split(bytes: Uint8Array, at: number): number[][] {
  const parts: number[][] = [[]]
  for (const byte of bytes) {
    if (byte === at) parts.push([])
    else parts.at(-1)?.push(byte)
  }
  return parts
}

function decoded(bytes: readonly number[]): string | undefined {
  const out: number[] = []
  for (let at = 0; at < bytes.length; at++) {
    const byte = bytes[at] ?? 0
    if (byte !== 0x25) {
      out.push(byte === 0x2b ? 0x20 : byte)
      continue
    }
    const hex = String.fromCharCode(...bytes.slice(at + 1, at + 3))
    if (!/^[0-9A-Fa-f]{2}$/.test(hex)) return
    out.push(Number.parseInt(hex, 16))
    at += 2
  }
  return utf8(Uint8Array.from(out))
}

/** A byte order mark is a character like any other. */
function utf8(bytes: Uint8Array): string | undefined {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    return
  }
}
