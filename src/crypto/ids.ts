/** Ids with a prefix for the kind of record. Random, so that they neither collide nor can be guessed. */
import { base62, randomBytes } from './encoding.ts'

const ID_BYTES = 16
const ID_CHARACTERS = 22
/** Ten characters of base62 hold 59 bits; eight bytes make eleven, of which the first is never uniform and is left out. */
const CREDENTIAL_RANDOM_BYTES = 8
const CREDENTIAL_RANDOM_CHARACTERS = 10
const CREDENTIAL_NUMBER_DIGITS = 12

/** 128 bits. */
export const newId = (prefix: 'su' | 'rv' | 'bn'): string => `${prefix}_${base62(randomBytes(ID_BYTES), ID_CHARACTERS)}`

/** How the id of a credential begins: 59 random bits. The ledger adds the credential's number, in 12 decimal digits. */
export const newCredentialIdStart = (): string =>
  `cr_${base62(randomBytes(CREDENTIAL_RANDOM_BYTES), ID_CHARACTERS).slice(-CREDENTIAL_RANDOM_CHARACTERS)}`

/** The number in the ledger that the id of a credential names. */
export const credentialNumber = (id: string): number => Number(id.slice(-CREDENTIAL_NUMBER_DIGITS))
