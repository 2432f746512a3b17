/**
 * Format of an API token: `tb_{tenant}_{id}_{secret}{checksum}`. The secret has 256 random bits. The CRC-32 checksum
 * detects typing errors before any storage is read; it is no proof. Only the SHA-256 of the whole token is stored.
 */
import { API_TOKEN_ID_CHARACTERS } from '../contract/values.ts'
import { sha256 } from '../crypto/digest.ts'
import { base62, crc32, randomBytes } from '../crypto/encoding.ts'
import type { Caller } from './caller.ts'

const SECRET_BYTES = 32
const SECRET_CHARACTERS = 43
const CHECKSUM_CHARACTERS = 6

const SHAPE = new RegExp(
  `^tb_([a-z0-9][a-z0-9-]{0,31})_([0-9A-Za-z]{${API_TOKEN_ID_CHARACTERS}})_[0-9A-Za-z]{${SECRET_CHARACTERS + CHECKSUM_CHARACTERS}}$`,
)

const checksum = (body: string): string => base62(crc32(body), CHECKSUM_CHARACTERS)

/** A new token id of 71 random bits. It is unique within a tenant and not secret. */
export const newApiTokenId = (): string => {
  const id = base62(randomBytes(9), API_TOKEN_ID_CHARACTERS + 1)
  return id.slice(-API_TOKEN_ID_CHARACTERS)
}

/** A new token for an id, and the SHA-256 digest (base64url) to store. */
export async function newApiToken(tenant: string, id: string): Promise<{ token: string; digest: string }> {
  const body = `tb_${tenant}_${id}_${base62(randomBytes(SECRET_BYTES), SECRET_CHARACTERS)}`
  const token = body + checksum(body)
  return { token, digest: await sha256(token) }
}

/** Checks syntax and checksum only. Returns the caller that the token claims to be, or `undefined`. */
export async function readApiToken(token: string): Promise<(Caller & { kind: 'api-token' }) | undefined> {
  const [, tenant, id] = SHAPE.exec(token) ?? []
  if (tenant === undefined || id === undefined) return
  const body = token.slice(0, -CHECKSUM_CHARACTERS)
  if (checksum(body) !== token.slice(-CHECKSUM_CHARACTERS)) return
  return { kind: 'api-token', tenant, id, digest: await sha256(token) }
}
