/** API tokens that no tenant ever gave out: as a stranger writes them, and as somebody who has the check key of the broker. */
import { env } from 'cloudflare:workers'
import { newApiToken, newApiTokenId } from '../../../src/auth/apiTokens.ts'
import {
  type CheckKey,
  newCheckKey,
  openCheckKey,
  type SealedCheckKey,
  signingKeyOf,
} from '../../../src/crypto/checkKeys.ts'
import type { RootKeys } from '../../../src/crypto/rootKeys.ts'
import { accountStub } from '../storage/tenantRows.ts'
import { ringOf } from './forger.ts'

/** A check key of this ring that the broker does not know. */
export async function foreignCheckKey(ring: RootKeys = ringOf(env.ROOT_KEYS), number = 1): Promise<CheckKey> {
  const opened = await openCheckKey(ring, await newCheckKey(ring, { number, signsFrom: 0 }))
  if (!opened) throw new Error('the ring opens what it sealed')
  return opened
}

/** Right in all its public parts: only the check is made with another key. */
export const forgedToken = async (tenant: string, id = newApiTokenId()): Promise<string> =>
  (await newApiToken({ tenant, id }, await foreignCheckKey())).token

/** The check keys that the broker has, newest first. */
export async function storedCheckKeys(): Promise<SealedCheckKey[]> {
  const asked = await accountStub().checkKeys()
  if (!asked.ok) throw new Error(asked.failure.code)
  return asked.value
}

/** A token whose check is right, and that is not the tenant's: what a leaked check key is good for. */
export async function leakedCheckToken(tenant: string, id = newApiTokenId()): Promise<string> {
  const sealed = signingKeyOf(await storedCheckKeys(), Date.now())
  const key = sealed && (await openCheckKey(ringOf(env.ROOT_KEYS), sealed))
  if (!key) throw new Error('the broker has a check key')
  return (await newApiToken({ tenant, id }, key)).token
}
