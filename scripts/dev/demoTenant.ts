// Seeds the demo tenant through the admin door, over HTTP as any operator would. Its API token is kept in a file that only
// its owner can read, is used again while it works, and is never printed.
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { SCOPES } from '../../src/contract/scopes.ts'
import { Refusal } from './options.ts'

const OWNER_ONLY = 0o600
const REQUEST_DEADLINE_MS = 15_000

export const DEMO_TENANT = 'demo'

export interface Seed {
  brokerUrl: string
  adminToken: string
  tokenFile: string
}

export async function seedDemoTenant({ brokerUrl, adminToken, tokenFile }: Seed): Promise<void> {
  const tenants = `${brokerUrl}/v1/admin/tenants`
  const created = await send('POST', tenants, adminToken, { id: DEMO_TENANT, name: 'Demo', region: 'weur' })
  const existed = created.status === 409 && created.body.code === 'conflict'
  if (created.status !== 201 && !existed) throw refusal('create the demo tenant', created)

  const stored = existsSync(tokenFile) ? readFileSync(tokenFile, 'utf8').trim() : ''
  if (stored !== '') {
    const self = await send('GET', `${brokerUrl}/v1/tenants/${DEMO_TENANT}`, stored)
    if (self.status === 200) return
  }

  const issued = await send('POST', `${tenants}/${DEMO_TENANT}/api-tokens`, adminToken, {
    name: 'npm run dev',
    scopes: SCOPES,
  })
  if (issued.status !== 201 || typeof issued.body.token !== 'string') throw refusal('create its API token', issued)
  writeFileSync(tokenFile, `${issued.body.token}\n`, { mode: OWNER_ONLY })
  chmodSync(tokenFile, OWNER_ONLY)
}

interface Answer {
  status: number
  body: Record<string, unknown>
}

async function send(method: string, url: string, bearer: string, body?: unknown): Promise<Answer> {
  const response = await fetch(url, {
    method,
    headers: { authorization: `Bearer ${bearer}`, 'content-type': 'application/json' },
    signal: AbortSignal.timeout(REQUEST_DEADLINE_MS),
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  const parsed: unknown = await response.json().catch(() => null)
  return { status: response.status, body: typeof parsed === 'object' && parsed !== null ? { ...parsed } : {} }
}

function refusal(what: string, { status, body }: Answer): Refusal {
  return new Refusal(`Could not ${what}: the broker answered ${status} ${String(body.code ?? '')}; see above.`)
}
