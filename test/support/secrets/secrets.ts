/** Looks for secrets in a text in every form in which one could have slipped into it. */

/** Bytes, one a character, so that a text of ASCII stands for itself. */
const hexOf = (binary: string) => [...binary].map((byte) => byte.charCodeAt(0).toString(16).padStart(2, '0')).join('')

/** Base64 of whatever contains these bytes: what they look like at each of the three offsets, without the edges. */
const base64Of = (binary: string) =>
  [0, 1, 2].map((offset) => {
    const encoded = btoa('\0'.repeat(offset) + binary).replace(/=+$/, '')
    const isWhole = (offset + binary.length) % 3 === 0
    return encoded.slice([0, 2, 3][offset], isWhole ? undefined : -1)
  })

/** The forms of a secret by their names. */
export function formsOf(secret: string): Record<string, string> {
  const hex = hexOf(secret)
  const base64 = base64Of(secret)
  const named = (name: string, texts: string[]) => texts.map((text, offset) => [`${name} at ${offset}`, text] as const)
  return {
    raw: secret,
    'URL-encoded': encodeURIComponent(secret),
    'URL-encoded to the last letter': hex.replace(/../g, '%$&'),
    'in a JSON text': JSON.stringify(secret).slice(1, -1),
    hex,
    'spaced hex': hex.replace(/..(?=.)/g, '$& '),
    'a list of bytes': [...secret].map((byte) => byte.charCodeAt(0)).join(),
    reversed: [...secret].reverse().join(''),
    ...Object.fromEntries(named('base64', base64)),
    ...Object.fromEntries(
      named(
        'base64url',
        base64.map((text) => text.replaceAll('+', '-').replaceAll('/', '_')),
      ),
    ),
  }
}

export interface Secret {
  /** As a failing assertion names it: never the secret. */
  readonly name: string
  readonly value: string
}

/** What is searched for: the forms in lower case, as lists are searched many times. */
const lowered = new Map<string, [how: string, form: string][]>()
function loweredForms(value: string): [how: string, form: string][] {
  const known = lowered.get(value)
  if (known) return known
  const forms = Object.entries(formsOf(value)).map(([how, form]): [string, string] => [how, form.toLowerCase()])
  lowered.set(value, forms)
  return forms
}

/** Which secrets are in the text, and how; empty when it is clean. Case counts nowhere. */
export function leaks(text: string, secrets: readonly Secret[]): string[] {
  const searched = text.toLowerCase()
  return secrets.flatMap(({ name, value }) =>
    loweredForms(value)
      .filter(([, form]) => searched.includes(form))
      .map(([how]) => `${name}, ${how}`),
  )
}
