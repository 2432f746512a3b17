/** Fields of a body that are missing, of a wrong type or out of bounds are a 400 that names the field, not its value. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Policy } from '../../src/contract/policy/policy.ts'
import { newBroker, newTenant } from '../support/broker/broker.ts'
import { shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import { type BodyRoute, bodyTargets, notRefused, sendTo } from '../support/contract/bodies.ts'
import { NO_COUNT, WRONG, WRONG_CHOICES } from '../support/contract/wrongFields.ts'

const NO_BOOLEAN = ['true', 'false', 0, 1, [], {}]

/** A new setting needs its row. */
const WRONG_POLICY = {
  allowedOrigins: [
    ...['https://a.test', {}, true, [1], [null], ['*'], [''], ['a.test'], ['http://a.test']],
    ...[['https://a.test/'], ['https://a.test/path'], ['https://A.test'], ['https://a.test:443'], ['https://*.a.test']],
    ...[
      ['https://u@a.test'],
      ['https://a.test,https://b.test'],
      ['HTTPS://a.test'],
      ['file:///x'],
      ['data:,x'],
      ['https://a.test', 'https://a.test'],
    ],
    ...[['http://127.0.0.1.a.test'], ['javascript://x'], [' https://a.test'], [`https://${'a'.repeat(250)}.test`]],
    Array.from({ length: 101 }, (_, n) => `https://a${n}.test`),
  ],
  acknowledgeWideOrigins: NO_BOOLEAN,
  requireOrigin: NO_BOOLEAN,
  defaultTtl: [...NO_COUNT, 172_801, 14_401],
  maxTtl: [...NO_COUNT, 172_801, 3_599],
  maxServerTtl: [...NO_COUNT, 172_801],
  maxLiveCredentialsPerSubject: [...NO_COUNT, 1_001],
  maxLiveCredentials: [...NO_COUNT, 1_000_001],
  maxMintsPerMinute: [...NO_COUNT, 100_001],
  maxTurnKeys: [...NO_COUNT.filter((value) => value !== 0), 1_001],
  maxApiCallsPer5Min: [...NO_COUNT, 601],
  reuse: NO_BOOLEAN,
  defaultKeyId: ['', 'x', 'k'.repeat(31), 'k'.repeat(33), 'k'.repeat(32), `${'k'.repeat(31)}/`, 1, [], {}, false],
  urls: [
    ...[[], 'udp', true, { extra: 1 }, { transports: [] }, { transports: ['udp', 'udp'] }, { transports: ['sctp'] }],
    ...[{ transports: 'udp' }, { transports: ['UDP'] }, { maxUrls: 0 }, { maxUrls: 17 }, { maxUrls: '2' }],
  ],
  fallback: ['', 'none', 'STUN', true, 0, [], ['stun']],
  issuers: [[{}], ['https://idp.test'], {}, 'x', true, [null]],
  auditRetentionDays: [...NO_COUNT, 3_651],
  auditRetentionRows: [...NO_COUNT, 999, 5_000_001],
} satisfies Record<keyof Policy, unknown[]>

const ISSUER = { issuer: 'https://idp.test', audience: 'a', jwksUrl: 'https://idp.test/jwks', algorithms: ['RS256'] }

const NAMES = ['x'.repeat(100), '😀'.repeat(100), 'Zoë & Søn <b>"1"</b>', "'; DROP TABLE tenant; --", '名前', '\\u0000']

/** What may not be left out, where anything may not. */
const REQUIRED: Partial<Record<BodyRoute, string[]>> = {
  clientTokenCreate: ['subject'],
  subjectSearch: ['subject'],
  banCreate: ['until'],
  tenantCreate: ['id', 'name'],
  apiTokenCreate: ['name', 'scopes'],
  turnKeyImport: ['uid', 'key'],
  issuerCheck: ['token'],
}

describe('a bad field', () => {
  it('A bad field is a 400 that names it', async () => {
    const broker = newBroker()
    const targets = await bodyTargets(broker)
    await emulator.clearLog()
    const wrong: string[] = []
    for (const target of targets) {
      for (const { field, value } of WRONG[target.name]) {
        const answer = await sendTo(broker, target, JSON.stringify({ ...target.right, [field]: value }))
        const what = `${field}: ${JSON.stringify(value).slice(0, 80)}`
        const large = typeof value === 'string' && value.length > 10_000
        wrong.push(...notRefused(target, what, answer, 400))
        const { detail = answer.json?.errors?.[0]?.message } = answer.json ?? {}
        if (!large && !String(detail).startsWith(field)) wrong.push(`${target.name}, ${what}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
    expect(await emulator.log()).toEqual([])
  })

  it.each([
    [{ name: 1 }, 'name: must be present and of type string'],
    [{ name: '' }, 'name: must not be empty'],
    [{ id: 'No' }, 'id: must match ^[a-z0-9][a-z0-9-]{0,31}$'],
    [
      { region: 'mars' },
      'region: must be one of: wnam, enam, sam, weur, eeur, apac, apac-ne, apac-se, oc, afr, me, nearest',
    ],
    [{ extra: 1 }, 'extra: is not a known field'],
    [{ policy: { maxTTL: 86_400 } }, 'policy.maxTTL: is not a known field'],
    [{ policy: { urls: { transport: 'udp' } } }, 'policy.urls.transport: is not a known field'],
    [{ policy: { issuers: [{ ...ISSUER, jwks_uri: 'x' }] } }, 'policy.issuers.0.jwks_uri: is not a known field'],
    [{ '': 1 }, '"": is not a known field'],
    [{ ['x'.repeat(31)]: 1 }, `${'x'.repeat(31)}: is not a known field`],
    [{ ['x'.repeat(32)]: 1 }, '(a name that is not shown): is not a known field'],
    [{ 'a\u0007b': 1 }, '(a name that is not shown): is not a known field'],
    [{ naïve: 1 }, '(a name that is not shown): is not a known field'],
    [{ '66bcf64aa8907b9f9d90ac17746a77ce': 1 }, '(a name that is not shown): is not a known field'],
    [{ policy: { maxTtl: 0 } }, 'policy.maxTtl: must be at least 1'],
    [{ policy: { allowedOrigins: [1] } }, 'policy.allowedOrigins.0: must be present and of type string'],
    [
      { policy: { defaultKeyId: 'x' } },
      'policy.defaultKeyId: Invalid string: must match pattern /^[A-Za-z0-9_-]{32}$/',
    ],
    [{ policy: { issuers: [{ ...ISSUER, requiredClaims: 1 }] } }, 'policy.issuers.0.requiredClaims: Invalid input'],
    [
      { policy: { issuers: [{ ...ISSUER, requiredClaims: { 'a b': 1 } }] } },
      'policy.issuers.0.requiredClaims.a b: is malformed',
    ],
  ])('A bad field is explained by its rule: %j', async (field, detail) => {
    const right = { id: 'acme', name: 'Acme', region: 'weur' }
    const answer = await newBroker().admin('POST', '/tenants', { ...right, ...field })
    expect([answer.status, answer.json?.detail], shown(answer)).toEqual([400, detail])
  })

  it('A bad field that holds a time is explained by the format', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const answer = await broker.admin('POST', '/tenants/acme/restore', { at: 'yesterday' })
    expect([answer.status, answer.json?.detail], shown(answer)).toEqual([400, 'at: Invalid ISO datetime'])
  })

  it('A bad field that is missing is a 400 too', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    for (const target of await bodyTargets(broker)) {
      for (const field of REQUIRED[target.name] ?? []) {
        const body = Object.entries(target.right).filter(([name]) => name !== field)
        const answer = await sendTo(broker, target, JSON.stringify(Object.fromEntries(body)))
        wrong.push(...notRefused(target, `no ${field}`, answer, 400))
      }
    }
    expect(wrong).toEqual([])
  })

  it('A bad field is also one that goes with no other, or with none, where one of several is chosen', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    const targets = await bodyTargets(broker)
    const bans = (await broker.call('GET', '/v1/tenants/acme/bans', env.ADMIN_TOKEN)).text
    await emulator.clearLog()
    for (const target of targets) {
      if (target.name !== 'revocationCreate' && target.name !== 'banCreate') continue
      for (const body of WRONG_CHOICES[target.name]) {
        const answer = await sendTo(broker, target, JSON.stringify(body))
        wrong.push(...notRefused(target, JSON.stringify(body), answer, 400))
      }
    }
    expect(wrong).toEqual([])
    expect((await broker.call('GET', '/v1/tenants/acme/bans', env.ADMIN_TOKEN)).text).toBe(bans)
    expect(await emulator.log()).toEqual([])
  })

  it('A bad field of the policy is a 400 that names it, at creation and in a patch, and changes nothing', async () => {
    const broker = newBroker()
    const targets = await bodyTargets(broker)
    const before = (await broker.admin('GET', '/tenants/acme')).json
    const wrong: string[] = []
    for (const target of targets.filter(({ name }) => name === 'tenantCreate' || name === 'tenantPatch')) {
      const rows = Object.entries({ ...WRONG_POLICY, unknownSetting: [1, null], __proto__: [] })
      for (const [setting, values] of rows) {
        for (const value of values) {
          const policy = { [setting]: value }
          const answer = await sendTo(broker, target, JSON.stringify({ ...target.right, policy }))
          const what = JSON.stringify(policy).slice(0, 80)
          wrong.push(...notRefused(target, what, answer, 400))
          const names = setting === 'unknownSetting' ? 'policy' : setting === 'maxTtl' ? 'policy.' : `policy.${setting}`
          if (!answer.json?.detail?.startsWith(names)) wrong.push(`${target.name}, ${what}: ${shown(answer)}`)
        }
      }
    }
    expect(wrong).toEqual([])
    expect((await broker.admin('GET', '/tenants/acme')).json).toEqual(before)
    expect((await broker.admin('GET', '/tenants/fresh')).status).toBe(404)
  })

  it('A bad field is not confused with an unusual one: such names are kept as given', async () => {
    const broker = newBroker()
    const targets = await bodyTargets(broker)
    const wrong: string[] = []
    for (const target of targets.filter(({ right }) => 'name' in right)) {
      for (const [index, name] of NAMES.entries()) {
        const id = target.name === 'tenantCreate' ? { id: `t${index}` } : {}
        const answer = await sendTo(broker, target, JSON.stringify({ ...target.right, ...id, name }))
        const kept = answer.json?.name ?? answer.json?.result?.name
        if (answer.status >= 300 || kept !== name) wrong.push(`${target.name}, ${name}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('A bad field is not confused with an unusual one: such origins may be allowed', async () => {
    const broker = newBroker()
    await newTenant(broker, 'acme')
    const allowedOrigins = [
      ...['https://a.test', 'https://a.test:8443', 'https://my_app.a.test', 'https://xn--zo-8ja.test', 'https://[::1]'],
      ...['http://localhost', 'http://localhost:3000', 'http://127.0.0.1:8080', 'http://[::1]:3000'],
      ...['capacitor://localhost', 'ionic://app'],
    ]
    const answer = await broker.admin('PATCH', '/tenants/acme', { policy: { allowedOrigins } })
    expect(answer.json?.policy?.allowedOrigins, shown(answer)).toEqual(allowedOrigins)
  })

  it('A bad field never has its value repeated in the answer, nor its name where that looks like a secret', async () => {
    const broker = newBroker()
    const secret = 'do-not-repeat-me-1-2-3-4-5'
    for (const target of await bodyTargets(broker)) {
      for (const body of [
        { [secret]: 1 },
        { name: { [secret]: secret } },
        { policy: { [secret]: secret } },
        [secret],
      ]) {
        const answer = await sendTo(broker, target, JSON.stringify({ ...target.right, ...body }))
        expect(answer.text + JSON.stringify([...answer.headers]), target.name).not.toContain(secret)
      }
      for (const field of Object.keys(target.right)) {
        const answer = await sendTo(broker, target, JSON.stringify({ ...target.right, [field]: `\u0000${secret}` }))
        expect(answer.text, `${target.name} ${field}`).not.toContain(secret)
      }
    }
  })
})
