/**
 * The text of an API token: `tb_{tenant}_{id}_{secret}{checksum}`. 256 random bits of secret; the CRC-32 at the end
 * finds typing errors before any storage is asked, and proves nothing. Only the SHA-256 of the whole is ever stored.
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

/** 71 random bits: unique within a tenant, and no secret. */
export const newApiTokenId = (): string => {
  const id = base62(randomBytes(9), API_TOKEN_ID_CHARACTERS + 1)
  return id.slice(-API_TOKEN_ID_CHARACTERS)
}

/** A fresh token for an id, and the digest to store. */
export async function newApiToken(tenant: string, id: string): Promise<{ token: string; digest: string }> {
  const body = `tb_${tenant}_${id}_${base62(randomBytes(SECRET_BYTES), SECRET_CHARACTERS)}`
  const token = body + checksum(body)
  return { token, digest: await sha256(token) }
}

/** Syntax and checksum only: the caller a token claims to be, or `undefined`. */
export async function readApiToken(token: string): Promise<(Caller & { kind: 'api-token' }) | undefined> {
  const [, tenant, id] = SHAPE.exec(token) ?? []
  if (tenant === undefined || id === undefined) return
  const body = token.slice(0, -CHECKSUM_CHARACTERS)
  if (checksum(body) !== token.slice(-CHECKSUM_CHARACTERS)) return
  return { kind: 'api-token', tenant, id, digest: await sha256(token) }
}
