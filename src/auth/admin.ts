/** The admin door's identity: the admin token, and only on the admin host when one is set. */

import { sameDigest, sha256 } from '../crypto/digest.ts'
import type { Config } from '../env.ts'
import type { Caller } from './caller.ts'

/** An operator, or `undefined`: wrong token, wrong host, or the door is not configured at all. */
export async function readAdminToken(
  config: Pick<Config, 'adminToken' | 'adminHost'>,
  token: string,
  host: string,
): Promise<(Caller & { kind: 'operator' }) | undefined> {
  if (config.adminToken === undefined) return
  if (config.adminHost !== undefined && config.adminHost !== host) return
  const [expected, given] = await Promise.all([sha256(config.adminToken), sha256(token)])
  return sameDigest(expected, given) ? { kind: 'operator', name: 'token' } : undefined
}
