/** Rings of root keys, and every secret that is stored: with which root key, and whether it opens where it stands. */
import { env } from 'cloudflare:workers'
import { parseRootKeys, type RootKeys } from '../../../src/crypto/rootKeys.ts'
import { open, rootKeyOf } from '../../../src/crypto/seal.ts'
import { tenantSql } from './tenantRows.ts'

/** `k1`, what every object of a test seals with that is deployed with nothing else. */
export const K1 = env.ROOT_KEYS
export const K2 = `k2:${new Uint8Array(32).fill(2).toBase64()}`
export const K3 = `k3:${new Uint8Array(32).fill(3).toBase64()}`

export function ringOf(text: string): RootKeys {
  const ring = parseRootKeys(text)
  if (!ring) throw new Error('the test meant a well-formed ring')
  return ring
}

export interface StoredSecret {
  readonly record: string
  readonly version: number
  readonly rootKey: string | undefined
  readonly sealed: string
  /** With a ring of all root keys that tests know. */
  readonly opens: boolean
}

/** Every secret of a tenant that may still be asked for. */
export async function secretsOf(tenant: string): Promise<StoredSecret[]> {
  const ring = ringOf(`${K3},${K2},${K1}`)
  const keys = await tenantSql(
    tenant,
    "SELECT 'turn-key-secret' AS purpose, uid AS record, secret_version AS version, sealed FROM turn_keys WHERE sealed IS NOT NULL ORDER BY seq",
  )
  const passwords = await tenantSql(
    tenant,
    "SELECT 'ice-password' AS purpose, username AS record, sealed_version AS version, sealed FROM credentials WHERE sealed IS NOT NULL AND state = 'live' ORDER BY seq",
  )
  return Promise.all(
    [...keys, ...passwords].map(async (row) => {
      const [record, version, sealed] = [String(row.record), Number(row.version), String(row.sealed)]
      const purpose = row.purpose === 'ice-password' ? 'ice-password' : 'turn-key-secret'
      const secret = await open(ring, { purpose, tenant, record, version }, sealed)
      return { record, version, sealed, rootKey: rootKeyOf(sealed), opens: secret !== undefined }
    }),
  )
}
