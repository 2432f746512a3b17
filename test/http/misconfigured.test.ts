/** A missing or malformed variable or binding: `misconfigured` with its name, never its value, and nothing goes upstream. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { describe, expect, it, vi } from 'vitest'
import { Account } from '../../src/account/account.ts'
import { ERRORS } from '../../src/errors.ts'
import { Tenant } from '../../src/tenant/tenant.ts'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, keysPath, newBroker } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { APP, credentialsPath, iceServersPath, tenantPath } from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'
import { furnish, furnishAll } from '../support/contract/callers.ts'
import { badRoles } from '../support/secrets/access.ts'
import { tenantStub } from '../support/storage/storage.ts'
import { accountStub } from '../support/storage/tenantRows.ts'

const CANARY = 'canary'
const key = (id: string, length = 32) => `${id}:${btoa(CANARY.padEnd(length, 'x').slice(0, length))}`
const NO_URL = [
  ...[
    '',
    CANARY,
    `ftp://${CANARY}.test`,
    `http://${CANARY}.test`,
    `https://${CANARY}.test/`,
    `https://u:p@${CANARY}.test`,
  ],
  ...[`https://${CANARY}.test?a=b`, `https://${CANARY}.test#a`, `//${CANARY}.test`, `http://localhost.${CANARY}.test`],
]
const AUD = CANARY.repeat(8)
const NO_BINDING = [undefined, null, CANARY, 42, {}, [CANARY]]

/** What each may not be. `undefined` where there is no default. */
const BAD = {
  CALLS_API_TOKEN: [undefined, '', 'canary-short', `canary with spaces ${CANARY}`, `${CANARY.repeat(90)}`, 42, null],
  ADMIN_TOKEN: ['', CANARY.repeat(5), `${CANARY} `.repeat(8), `${CANARY.repeat(6)}"`, `${CANARY.repeat(6)}$`, 42, null],
  ADMIN_HOST: ['', `https://${CANARY}.test`, `${CANARY}.test/x`, `${CANARY}.TEST`, `${CANARY}:port`, '*', 42, null],
  ACCESS_TEAM_DOMAIN: [
    ...['', CANARY, `${CANARY}.example`, `https://${CANARY}.cloudflareaccess.com`, `${CANARY}.cloudflareaccess.com/`],
    ...[
      `${CANARY}.CLOUDFLAREACCESS.com`,
      `${CANARY}.cloudflareaccess.com.`,
      `${CANARY}.cloudflareaccess.com.evil.test`,
    ],
    ...[`a.${CANARY}.cloudflareaccess.com`, `${CANARY}@x.cloudflareaccess.com`, '.cloudflareaccess.com', 42, null],
  ],
  ACCESS_AUD: [
    '',
    CANARY,
    `${AUD} ${AUD}`,
    `${AUD},`,
    `${AUD},,${AUD}`,
    `${AUD}=`,
    Array(11).fill(AUD).join(),
    42,
    null,
  ],
  ACCESS_ROLES: badRoles(CANARY),
  ROOT_KEYS: [
    ...[undefined, '', CANARY, 'k1', 'k1:', `k1:${CANARY}`, `:${key('').slice(1)}`, key('k1', 31), key('k1', 33), 42],
    ...[`${key('k1')},`, `${key('k1')},${key('k1')}`, `${key('k1')}:x`, key('k 1'), key('k.1'), key('x'.repeat(17))],
    ...[key('k1').slice(0, -1), Array.from({ length: 9 }, (_, n) => key(`k${n}`)).join()],
  ],
  DEPLOYMENT: [undefined, '', 'abc', CANARY.toUpperCase(), `${CANARY}-1`, CANARY.repeat(3), 42, null],
  CLOUDFLARE_ACCOUNT_ID: [undefined, '', `../${CANARY}`, `${CANARY}/x`, `${CANARY}%2f`, CANARY.repeat(6), 42, null],
  ACCOUNT_LOCATION: ['', CANARY, 'WEUR', 'weur ', 'europe', 'weur,eeur', 42, null],
  CLOUDFLARE_API_URL: [...NO_URL, 42, null],
  CLOUDFLARE_RTC_URL: [...NO_URL, 42, null],
  STUN_URLS: [
    '',
    CANARY,
    `turn:${CANARY}.test`,
    `stun:${CANARY}:x`,
    `stun:${CANARY},`,
    `stuns:${CANARY}.test`,
    'stun:',
    42,
    null,
  ],
  CACHE: NO_BINDING,
  TENANTS: NO_BINDING,
  ACCOUNT: NO_BINDING,
  RATE_IP: NO_BINDING,
  RATE_SITE: NO_BINDING,
  RATE_TENANT: NO_BINDING,
  RATE_SUBJECT: NO_BINDING,
  RATE_UNPROVEN: NO_BINDING,
}
const rows = Object.entries(BAD).flatMap(([name, values]) => values.map((value) => ({ name, value })))

const isMisconfigured = (answer: Answer, name: string) =>
  /^500 (misconfigured|31021)$/.test(outcomeOf(answer)) &&
  answer.text.includes(`${name} is missing or malformed.`) &&
  !answer.text.toLowerCase().includes(CANARY)

/** An answer to a browser names no variable, whichever it is. */
const isSilent = (answer: Answer) =>
  outcomeOf(answer) === '500 misconfigured' && answer.json.detail === ERRORS.misconfigured.sentence

describe('a misconfigured broker', () => {
  it('A misconfigured broker says which variable it is, and not what is in it', async () => {
    const { clientToken, ...acme } = await furnishAll(newBroker(), 'acme')
    await emulator.clearLog()
    const logged = (['log', 'info', 'warn', 'error', 'debug'] as const).map((level) => vi.spyOn(console, level))
    const wrong: string[] = []
    for (const { name, value } of rows) {
      const broker = newBroker({ [name]: value })
      const what = `${name} = ${JSON.stringify(value)}`
      for (const [method, path, token] of [
        ['GET', keysPath('acme', acme.keyId), acme.token],
        ['POST', keysPath('acme'), acme.token],
        ['DELETE', keysPath('acme', acme.keyId), env.ADMIN_TOKEN],
        ['POST', credentialsPath(acme.keyId, 'generate'), acme.token],
        ['GET', tenantPath('acme', 'turn-rest?service=turn'), acme.token],
        ['GET', '/v1/admin/tenants', env.ADMIN_TOKEN],
        ['GET', '/v1/tenants/acme', undefined],
        ['GET', '/nowhere', undefined],
      ] as const) {
        const answer = await broker.call(method, path, token, method === 'POST' ? {} : undefined)
        if (!isMisconfigured(answer, name)) wrong.push(`${what}, ${method} ${path}: ${shown(answer)}`)
      }
      for (const method of ['POST', 'OPTIONS']) {
        const headers = { origin: APP }
        const answer = await broker.call(method, iceServersPath('acme'), clientToken, undefined, headers)
        if (!isSilent(answer)) wrong.push(`${what}, ${method} ice-servers: ${shown(answer)}`)
      }
      wrong.push(...(await healthOf(broker)).map((it) => `${what}: ${it}`))
    }
    const said = JSON.stringify(logged.map(({ mock }) => mock.calls)).toLowerCase()
    vi.restoreAllMocks()
    expect(wrong).toEqual([])
    expect(said.includes('"event\\":\\"request'), 'the log was watched').toBe(true)
    expect(said.includes(CANARY), 'a value in the log').toBe(false)
    expect(await emulator.log()).toEqual([])
  })

  it('A misconfigured broker keeps its objects from doing anything, too', async () => {
    await furnish(newBroker(), 'acme')
    await emulator.clearLog()
    const caller = { kind: 'operator', name: 'token', role: 'owner' } as const
    const call = { caller, requestId: 'r', uid: 'k'.repeat(32) }
    const mint = {
      requestId: 'r',
      subject: null,
      requestedTtlSeconds: null,
      keyId: null,
      origin: null,
      reuse: 'never',
    } as const
    for (const { name, value } of rows) {
      const broken = { ...env, [name]: value } as Env // broken on purpose
      const refused = { ok: false, failure: { code: 'misconfigured', detail: `${name} is missing or malformed.` } }
      const ofTenant = await runInDurableObject(tenantStub('acme'), async (_object: Tenant, state) => {
        const tenant = new Tenant(state, broken)
        await tenant.alarm()
        return [
          ...[await tenant.listTurnKeys(call), await tenant.lookUpTurnKey(call), await tenant.removeTurnKey(call)],
          await tenant.issue({ ...mint, asker: { kind: 'server', caller } }),
          await tenant.revokeByUsername({ ...call, username: 'u' }),
          await tenant.createClientToken({ ...call, input: { subject: 'ann', ttl: 60 } }),
        ]
      })
      const ofAccount = await runInDurableObject(accountStub(), async (_object: Account, state) => {
        const account = new Account(state, broken)
        await account.alarm()
        return [await account.isTenant('acme'), await account.listTenants({ before: null, limit: 1 })]
      })
      expect([...ofTenant, ...ofAccount], name).toEqual(Array(8).fill(refused))
    }
    expect(await emulator.log()).toEqual([])
  })

  it.each([
    ['CLOUDFLARE_ACCOUNT_ID', '0'.repeat(32)],
    ['DEPLOYMENT', 'local'],
  ])(
    'A broker with the placeholder of %s is misconfigured unless the API of Cloudflare is on loopback',
    async (name, value) => {
      const acme = await furnish(newBroker(), 'acme')
      const own = { CLOUDFLARE_ACCOUNT_ID: 'a'.repeat(32), DEPLOYMENT: 'production', CLOUDFLARE_API_URL: undefined }
      const statusOf = async (variables: Record<string, string | undefined>) =>
        outcomeOf(await newBroker(variables).call('GET', keysPath('acme', acme.keyId), acme.token))
      expect(await statusOf({ ...own, [name]: value })).toMatch(/^500 /)
      expect(await statusOf(own)).toMatch(/^200/)
      expect(await statusOf({ [name]: value })).toMatch(/^200/)
    },
  )

  it('A misconfigured broker names one after the other, until everything it needs is there', async () => {
    const missing: Record<string, undefined> = Object.fromEntries(Object.keys(env).map((name) => [name, undefined]))
    const named: string[] = []
    for (;;) {
      const answer = await newBroker(missing).call('GET', '/v1/tenants/acme', undefined)
      const [, name] = /([A-Z_]+) is missing or malformed/.exec(answer.text) ?? []
      if (name === undefined || named.includes(name)) break
      named.push(name)
      delete missing[name]
    }
    const required = Object.entries(BAD).filter(([, values]) => values.some((value) => value === undefined))
    expect(named).toEqual(required.map(([name]) => name))
  })

  it('A broker that leaves out optional variables is not taken for a misconfigured one', async () => {
    const acme = await furnish(newBroker(), 'acme')
    const optional = [
      'ADMIN_TOKEN',
      'ADMIN_HOST',
      'ACCESS_TEAM_DOMAIN',
      'ACCESS_AUD',
      'ACCESS_ROLES',
      'ACCOUNT_LOCATION',
      'CLOUDFLARE_API_URL',
      'CLOUDFLARE_RTC_URL',
      'STUN_URLS',
    ]
    const own = { CLOUDFLARE_ACCOUNT_ID: 'a'.repeat(32), DEPLOYMENT: 'production' }
    const broker = newBroker({ ...own, ...Object.fromEntries(optional.map((name) => [name, undefined])) })
    const answer = await broker.call('GET', keysPath('acme', acme.keyId), acme.token)
    expect(answer.status, shown(answer)).toBe(200)
  })
})

/** Up, and not ready. */
async function healthOf(broker: Broker): Promise<string[]> {
  const up = await broker.send('/healthz')
  const ready = await broker.send('/readyz')
  const right = up.status === 200 && ready.status === 503 && ready.text === '{"ready":false}'
  return right ? [] : [shown(up) + shown(ready)]
}
