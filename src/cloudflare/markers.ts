/**
 * Markers: a TURN key's name at Cloudflare is `tb.{deployment}.{intent} {tenant's name}`. After a crash, the intent in
 * the marker shows which creation made the key.
 */
import { base62, randomBytes } from '../crypto/encoding.ts'

/** A new random intent. */
export const newIntent = (): string => base62(randomBytes(INTENT_BYTES), INTENT_CHARACTERS)

/** The first part of the key's name upstream. */
export const marker = (deployment: string, intent: string): string => `tb.${deployment}.${intent}`
/** Whether a name has exactly this marker, not a longer one with the same beginning. */
export const isMarked = (name: string, mark: string): boolean => name === mark || name.startsWith(`${mark} `)
export const markedName = (deployment: string, intent: string, name: string): string =>
  `${marker(deployment, intent)} ${name}`.trimEnd()

/** An intent: 12 random bytes in base62. */
export const INTENT_BYTES = 12
export const INTENT_CHARACTERS = 17
const MARKED = /^tb\.([a-z0-9]{4,16})\.([0-9A-Za-z]{17})(?: (.*))?$/s

/** The parts of a marked name; `undefined` if the name has no marker, so no broker made it. */
export function readMarkedName(
  text: string,
): { readonly deployment: string; readonly intent: string; readonly name: string } | undefined {
  const [, deployment, intent, name = ''] = MARKED.exec(text) ?? []
  return deployment === undefined || intent === undefined ? undefined : { deployment, intent, name }
}
