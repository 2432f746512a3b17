/**
 * `application/x-www-form-urlencoded` that says one thing only: UTF-8 in full, no repeated name. The parser of the URL standard
 * replaces what is no UTF-8, and readers differ on which of two equal names counts.
 */

export type StrictForm = { readonly fields: ReadonlyMap<string, string> } | { readonly problem: string }

/** The fields in the order of the form. `problem` says what is wrong, and repeats nothing of the form. */
export function parseStrictForm(bytes: Uint8Array): StrictForm {
  let text: string
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
    decodeURIComponent(text)
  } catch {
    return { problem: 'body: must be a form in percent-encoded UTF-8' }
  }
  const pairs = [...new URLSearchParams(text)]
  const fields = new Map(pairs)
  return fields.size === pairs.length ? { fields } : { problem: 'body: a form must not repeat a name' }
}
