/** The name a TURN key has upstream: a marker that leads back to the intent, then the tenant's own name. */
import { base62, randomBytes } from '../crypto/encoding.ts'

/** An intent is part of the marker in the key's name upstream. */
export const newIntent = (): string => base62(randomBytes(INTENT_BYTES), INTENT_CHARACTERS)

/** The name a key has upstream: a marker that leads back to the intent, then the tenant's own name. */
export const marker = (deployment: string, intent: string): string => `tb.${deployment}.${intent}`
/** Whether a name carries this marker and no other that begins alike. */
export const isMarked = (name: string, mark: string): boolean => name === mark || name.startsWith(`${mark} `)
export const markedName = (deployment: string, intent: string, name: string): string =>
  `${marker(deployment, intent)} ${name}`.trimEnd()

/** An intent: 12 random bytes in base62. */
export const INTENT_BYTES = 12
export const INTENT_CHARACTERS = 17
const MARKED = /^tb\.([a-z0-9]{4,16})\.([0-9A-Za-z]{17})(?: (.*))?$/s

/** What a name that carries a marker says; `undefined` for a name that the broker did not make. */
export function readMarkedName(
  text: string,
): { readonly deployment: string; readonly intent: string; readonly name: string } | undefined {
  const [, deployment, intent, name = ''] = MARKED.exec(text) ?? []
  return deployment === undefined || intent === undefined ? undefined : { deployment, intent, name }
}
