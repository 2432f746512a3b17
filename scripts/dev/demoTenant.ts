// Seeds the demo tenant through the admin door, over HTTP as any operator would. Its API token is kept in a file that only
// its owner can read, is used again while it works, and is never printed.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { SCOPES } from '../../src/contract/scopes.ts'
import { type Answer, send } from './ask.ts'
import { Refusal } from './options.ts'

const OWNER_ONLY = 0o600

export const DEMO_TENANT = 'demo'

export interface Seed {
  brokerUrl: string
  adminToken: string
  tokenFile: string
  /** Where the demo page can be opened: the web origins of the tenant's policy. */
  origins: readonly string[]
}

/** The tenant, its API token and one TURN key; answers the API token. */
export async function seedDemoTenant(seed: Seed): Promise<string> {
  const token = await seedToken(seed)
  const keys = `${seed.brokerUrl}/client/v4/accounts/${DEMO_TENANT}/calls/turn_keys`
  const list = await send({ method: 'GET', url: keys, bearer: token })
  if (Array.isArray(list.body.result) && list.body.result.length > 0) return token
  const key = await send({ method: 'POST', url: keys, bearer: token, body: { name: 'demo' } })
  if (key.status !== 201) throw refusal('create its TURN key', key)
  return token
}

async function seedToken({ brokerUrl, adminToken, tokenFile, origins }: Seed): Promise<string> {
  const tenants = `${brokerUrl}/v1/admin/tenants`
  const asked = { id: DEMO_TENANT, name: 'Demo', region: 'weur' }
  const created = await send({ method: 'POST', url: tenants, bearer: adminToken, body: asked })
  const existed = created.status === 409 && created.body.code === 'conflict'
  if (created.status !== 201 && !existed) throw refusal('create the demo tenant', created)

  const policy = { allowedOrigins: origins }
  const tenant = `${tenants}/${DEMO_TENANT}`
  const patched = await send({ method: 'PATCH', url: tenant, bearer: adminToken, body: { policy } })
  if (patched.status !== 200) throw refusal('set its policy', patched)

  const stored = existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : ''
  if (stored !== '') {
    const self = await send({ method: 'GET', url: `${brokerUrl}/v1/tenants/${DEMO_TENANT}`, bearer: stored })
    if (self.status === 200) return stored
  }

  const wanted = { name: 'npm run dev', scopes: SCOPES }
  const issued = await send({ method: 'POST', url: `${tenant}/api-tokens`, bearer: adminToken, body: wanted })
  if (issued.status !== 201 || typeof issued.body.token !== 'string') throw refusal('create its API token', issued)
  writeFileSync(tokenFile, `${issued.body.token}\n`, { mode: OWNER_ONLY })
  chmodSync(tokenFile, OWNER_ONLY)
  return issued.body.token
}

function refusal(what: string, { status, body }: Answer): Refusal {
  return new Refusal(`Could not ${what}: the broker answered ${status} ${String(body.code ?? '')}; see above.`)
}
