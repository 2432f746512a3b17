/** Authenticates an operator by `ADMIN_TOKEN`. If `ADMIN_HOST` is set, only requests to that host are accepted. */

import { sameDigest, sha256 } from '../crypto/digest.ts'
import type { Config } from '../env.ts'
import type { Caller } from './caller.ts'

/** The operator, or `undefined`: wrong token, wrong host, or no admin token is configured. */
export async function readAdminToken(
  config: Pick<Config, 'adminToken' | 'adminHost'>,
  token: string,
  host: string,
): Promise<(Caller & { kind: 'operator' }) | undefined> {
  if (config.adminToken === undefined) return
  if (config.adminHost !== undefined && config.adminHost !== host) return
  const [expectedDigest, givenDigest] = await Promise.all([sha256(config.adminToken), sha256(token)])
  return sameDigest(expectedDigest, givenDigest) ? { kind: 'operator', name: 'token' } : undefined
}
