/** Random ids with a prefix for the kind of record. 128 bits, so that they neither collide nor can be guessed. */
import { base62, randomBytes } from './encoding.ts'

const ID_BYTES = 16
const ID_CHARACTERS = 22

export const newId = (prefix: 'cr' | 'su' | 'rv' | 'bn'): string =>
  `${prefix}_${base62(randomBytes(ID_BYTES), ID_CHARACTERS)}`
