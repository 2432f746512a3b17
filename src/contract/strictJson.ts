/**
 * JSON that says one thing only: UTF-8, no repeated name in an object, bounded depth. `JSON.parse` keeps the last of two equal
 * names, and another reader may keep the first: such a text is no message (RFC 8259, section 4).
 */

export type StrictJson = { readonly json: unknown } | { readonly problem: 'not-json' | 'repeated-name' | 'too-deep' }

export function parseStrictJson(
  bytes: Uint8Array,
  { maxDepth, ignoreBOM }: { readonly maxDepth: number; readonly ignoreBOM: boolean },
): StrictJson {
  let text: string
  let json: unknown
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM }).decode(bytes)
    json = JSON.parse(text)
  } catch {
    return { problem: 'not-json' }
  }
  const names = countNames(json, maxDepth)
  if (names === undefined) return { problem: 'too-deep' }
  return names === namesInText(text) ? { json } : { problem: 'repeated-name' }
}

/** Number of names in the parsed value, where a repeated name stands once. `undefined`: nested deeper than `depth`. */
function countNames(value: unknown, depth: number): number | undefined {
  if (typeof value !== 'object' || value === null) return 0
  if (depth <= 0) return
  let names = Array.isArray(value) ? 0 : Object.keys(value).length
  for (const item of Object.values(value)) {
    const inner = countNames(item, depth - 1)
    if (inner === undefined) return
    names += inner
  }
  return names
}

/** Number of names in the text: strings followed by a colon. The text must be valid JSON. */
const namesInText = (text: string): number =>
  [...text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?/g)].filter(([, colon]) => colon !== undefined).length
