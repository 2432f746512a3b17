/** Random ids with a prefix that tells what they name: 128 bits, so that none is ever met twice or guessed. */
import { base62, randomBytes } from './encoding.ts'

const ID_BYTES = 16
const ID_CHARACTERS = 22

export const newId = (prefix: 'cr' | 'su' | 'rv' | 'bn'): string =>
  `${prefix}_${base62(randomBytes(ID_BYTES), ID_CHARACTERS)}`
