/** A TURN key's secret, opened for one call upstream. The only file that opens one to use it. */
import { open } from '../../crypto/seal.ts'
import { BrokerError } from '../../errors.ts'
import * as log from '../../storage/log.ts'
import type { TenantContext } from '../core/context.ts'
import { tenantRecord } from '../core/tenantRow.ts'
import type { NamedTurnKeyRow } from './rows.ts'

/** A TURN key with its secret in clear: lives as long as one call upstream. */
export interface OpenedKey {
  readonly uid: string
  readonly secret: string
}

export async function openKey(ctx: Pick<TenantContext, 'sql' | 'config'>, key: NamedTurnKeyRow): Promise<OpenedKey> {
  const { id: tenant } = tenantRecord(ctx)
  const place = { purpose: 'turn-key-secret', tenant, record: key.uid, version: key.secret_version } as const
  const secret = key.sealed === null ? undefined : await open(ctx.config.rootKeys, place, key.sealed)
  if (secret === undefined) {
    log.failure('turn_key_unreadable', { tenant, operation: 'open' })
    throw new BrokerError('internal')
  }
  return { uid: key.uid, secret }
}
