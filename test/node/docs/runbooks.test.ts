// docs/runbooks.md, tried: each runbook's commands in their order, as an operator types them, on a running broker that is
// deployed again where the runbook says so. What an operator does in Cloudflare's dashboard, the test does in the emulator.
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { terminal } from '../support/devServer.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'
import { fencesOf, sectionOf, textOf } from './repository.ts'

const run = promisify(execFile)
const runbooks = textOf('docs/runbooks.md')
const [prelude] = fencesOf(runbooks.slice(0, runbooks.indexOf('## ')))
const SCOPES = [
  'turn_keys:read',
  'turn_keys:write',
  'turn_keys:reveal',
  'credentials:issue',
  'client_tokens:create',
] as const

interface Tenant {
  id: string
  token: string
  uid: string
  secret: string
}

let broker: RunningBroker
beforeAll(async () => {
  broker = await startBroker()
})
afterAll(() => broker?.stop())

const BETWEEN = '-- next block --'

/** What the shell blocks of a runbook print. `deploys`: what stands for its blocks of `text`; then the shell is a new one. */
async function tried(
  title: string,
  { id }: Tenant,
  deploys: (() => Promise<void>)[] = [],
  variables: Record<string, string> = {},
): Promise<string[]> {
  const shells: string[][] = [[]]
  for (const { language, code } of fencesOf(sectionOf(runbooks, title))) {
    if (language === 'text') shells.push([])
    if (language === 'sh') shells.at(-1)?.push(code)
  }
  expect(shells).toHaveLength(deploys.length + 1)
  const places = `BROKER='${broker.url}'\nTENANT='${id}'`
  const first = prelude?.code.replace(/^BROKER=.*\nTENANT=.*$/m, places)
  const env = terminal({ ADMIN_TOKEN: broker.secrets.ADMIN_TOKEN, ...variables })
  const printed: string[] = []
  for (const [n, blocks] of shells.entries()) {
    await deploys[n - 1]?.()
    const script = [first, blocks.join(`\necho '${BETWEEN}'\n`)].join('\n')
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script], { env })
    if (blocks.length > 0) printed.push(...stdout.split(`${BETWEEN}\n`))
  }
  return printed
}

let tenants = 0
async function newTenant(): Promise<Tenant> {
  const id = `acme-${++tenants}`
  const { token } = await broker.newTenant(id, { scopes: [...SCOPES] })
  const made = await created({ id, token })
  expect(made.status, made.text).toBe(201)
  const { uid, key } = JSON.parse(made.text).result
  return { id, token, uid, secret: key }
}

async function ask(token: string, route: string, body?: object, method = body ? 'POST' : 'GET') {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  const response = await fetch(broker.url + route, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })
  return { status: response.status, text: await response.text() }
}

const keys = (id: string) => `/client/v4/accounts/${id}/calls/turn_keys`
const created = ({ id, token }: Pick<Tenant, 'id' | 'token'>) => ask(token, keys(id), { name: 'calls' })
const minted = async ({ token, uid }: Pick<Tenant, 'token' | 'uid'>) =>
  (await ask(token, `/v1/turn/keys/${uid}/credentials/generate-ice-servers`, {})).status
const ready = async () => (await fetch(`${broker.url}/readyz`)).status
const liveUids = async () =>
  (await broker.emulator.state()).keys.flatMap(({ uid, deleted }) => (deleted === null ? [uid] : []))

describe('the runbook', () => {
  it('“Rotate the account token” swaps it under a running broker, and a leaked one costs no mint', async () => {
    const tenant = await newTenant()
    const old = broker.secrets.CALLS_API_TOKEN
    const fresh = randomBytes(30).toString('base64url')
    // It leaked and was deleted before the new one is deployed.
    await broker.emulator.settings({ apiTokens: [fresh] })
    expect((await created(tenant)).status).toBe(502)
    expect(await minted(tenant)).toBe(201)

    await broker.emulator.settings({ apiTokens: [old, fresh] })
    const printed = await tried('Rotate the account token', tenant, [() => broker.restart({ CALLS_API_TOKEN: fresh })])
    expect(printed.join('')).toContain('sweep: done')
    await broker.emulator.settings({ apiTokens: [fresh] })
    expect((await created(tenant)).status).toBe(201)
  })

  it('“Rotate a root key” moves every secret, and /readyz reports an old key that is taken out too early', async () => {
    const tenant = await newTenant()
    const old = broker.secrets.ROOT_KEYS
    const fresh = `k2:${randomBytes(32).toString('base64')}`
    await broker.restart({ ROOT_KEYS: fresh })
    expect(await ready()).toBe(503)
    expect(await minted(tenant)).toBe(500)

    const printed = await tried('Rotate a root key', tenant, [
      async () => {
        await broker.restart({ ROOT_KEYS: `${fresh},${old}` })
        expect([await ready(), await minted(tenant)]).toEqual([200, 201])
      },
      async () => {
        const { rootKeys } = JSON.parse((await ask(broker.secrets.ADMIN_TOKEN, '/v1/admin/reseal')).text)
        expect(rootKeys).toMatchObject([
          { id: 'k2', current: true },
          { id: 'k1', tenants: 0 },
        ])
        await broker.restart({ ROOT_KEYS: fresh })
        expect(await minted(tenant)).toBe(201)
        // The hour in which client tokens of the old one live, and it is missed, is not waited for.
        await broker.restart({ ROOT_KEYS: `${fresh},${old}` })
      },
    ])
    expect(printed[0]).toMatch(/^k2:[A-Za-z0-9+/]{43}=\n$/)
    expect(JSON.parse(printed[1]?.slice(printed[1].lastIndexOf('{"state"')) ?? '')).toMatchObject({
      state: 'done',
      to: 'k2',
      unreadable: 0,
    })
    expect(await minted(tenant)).toBe(201)
  })

  it('“Rotate a TURN key” leaves no caller without credentials', async () => {
    const tenant = await newTenant()
    const [answer = ''] = await tried('Rotate a TURN key', tenant)
    const { key, replaced } = JSON.parse(answer)
    expect(replaced).toMatchObject({ uid: tenant.uid })
    expect(key.uid).not.toBe(tenant.uid)
    expect(await minted(tenant)).toBe(201)
    expect(await minted({ ...tenant, uid: key.uid })).toBe(201)
  })

  it('“Rotate an API token” gives a new one, and the old one works on', async () => {
    const tenant = await newTenant()
    const printed = await tried('Rotate an API token', tenant)
    const { token } = JSON.parse(printed.at(-1) ?? '')
    expect(await minted({ ...tenant, token })).toBe(201)
    expect(await minted(tenant)).toBe(201)
  })

  it('“An API token leaked” ends it, what it handed out, and shows what it did', async () => {
    const tenant = await newTenant()
    expect(await minted(tenant)).toBe(201)
    const printed = await tried('An API token leaked', tenant)
    expect(await minted(tenant)).toBe(401)
    expect(JSON.parse(printed[1] ?? '')).toMatchObject({ selector: { all: true }, matched: 1 })
    const { items } = JSON.parse(printed[2] ?? '')
    expect(items.map(({ action }: { action: string }) => action)).toEqual([
      'credential.issue',
      'turn_key.reveal',
      'turn_key.create',
      'turn_key.create',
    ])
  })

  it('“Replace the check key of API tokens” makes the next key, and no token stops working', async () => {
    const tenant = await newTenant()
    const printed = await tried('Replace the check key of API tokens', tenant)
    expect(JSON.parse(printed.at(-1) ?? '').keys).toMatchObject([
      { number: 2, state: 'next' },
      { number: 1, state: 'current' },
    ])
    expect(await minted(tenant)).toBe(201)
  })

  it('“A root key leaked” replaces every key of every tenant, and their credentials', async () => {
    const [one, other] = [await newTenant(), await newTenant()]
    await tried('A root key leaked', one)
    await expect.poll(liveUids, { timeout: 15_000 }).not.toContain(one.uid)
    await expect.poll(liveUids, { timeout: 15_000 }).not.toContain(other.uid)
    expect([await minted(one), await minted(other)]).toEqual([201, 201])
  })

  it('“A tenant’s storage lost or set back” brings a lost tenant back, whose key is imported again', async () => {
    const tenant = await newTenant()
    await broker.loseTenant(tenant.id)
    expect(await minted(tenant)).toBe(401)
    const kept = JSON.stringify({ uid: tenant.uid, key: tenant.secret })
    const printed = await tried('A tenant’s storage lost or set back', tenant, [], { RESTORE: '{}', KEPT: kept })
    expect(JSON.parse(printed[0] ?? '')).toMatchObject({ undo: null, tenant: { status: 'suspended' } })
    expect(JSON.parse(printed[1] ?? '').items).toEqual([])
    expect(JSON.parse(printed[3]?.slice(printed[3].lastIndexOf('}[') + 1) ?? '')).toContainEqual(
      expect.objectContaining({ uid: tenant.uid, class: 'lost', tenant: tenant.id }),
    )
    expect(JSON.parse(printed[4] ?? '')).toMatchObject({ uid: tenant.uid, state: 'active' })
    const { token } = await broker.newToken(tenant.id, [...SCOPES])
    expect(await minted({ ...tenant, token })).toBe(201)
  })
})
