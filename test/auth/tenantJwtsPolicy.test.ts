/** What a policy may say of issuers, at creation and in a patch; G10: which addresses of key sets are refused. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import { type Broker, expectStatus, newBroker, newTenant } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { type Key, newKey } from '../support/secrets/idp.ts'
import { accountSql } from '../support/storage/tenantRows.ts'

const GOOD_URL = 'https://login.example/.well-known/jwks.json'
const right = (changes: object = {}) => ({
  issuer: 'https://login.example',
  audience: 'calls',
  jwksUrl: GOOD_URL,
  algorithms: ['RS256'],
  ...changes,
})
const byClient = (client: unknown, changes: object = {}) => right({ audience: undefined, client, ...changes })
const AZP = { claim: 'azp', value: 'web' }
const inline = (...keys: unknown[]) => right({ jwksUrl: undefined, jwks: { keys } })

const patch = (broker: Broker, policy: unknown) => broker.admin('PATCH', '/tenants/acme', { policy })

/** Those that are not answered like this, each put into a policy. */
async function others(outcome: string, broker: Broker, rows: [string, unknown][]): Promise<string[]> {
  const wrong: string[] = []
  for (const [name, issuers] of rows) {
    const answer = await patch(broker, { issuers })
    if (outcomeOf(answer) !== outcome) wrong.push(`${name}: ${shown(answer)}`)
  }
  return wrong
}

const policyOf = async (broker: Broker) => (await broker.admin('GET', '/tenants/acme')).json.policy

async function acmeBroker() {
  const broker = newBroker()
  await newTenant(broker, 'acme')
  return broker
}

const BAD_URLS = [
  'http://login.example/jwks',
  'HTTP://login.example/jwks',
  'ftp://login.example/jwks',
  'file:///etc/passwd',
  'data:application/json,{"keys":[]}',
  'javascript:1',
  '//login.example/jwks',
  '/jwks',
  'login.example/jwks',
  'https:',
  'https://',
  'https:///jwks',
  '',
  ' ',
  'https://login.example:8443/jwks',
  'https://login.example:80/jwks',
  'https://user@login.example/jwks',
  'https://user:pass@login.example/jwks',
  'https://:pass@login.example/jwks',
  'https://api.cloudflare.com@evil.example/jwks',
  'https://login.example/jwks#keys',
  'https://127.0.0.1/jwks',
  'https://10.0.0.1/jwks',
  'https://169.254.169.254/latest/meta-data',
  'https://1.1.1.1/jwks',
  'https://2130706433/jwks',
  'https://0x7f000001/jwks',
  'https://0x7f.0.0.1/jwks',
  'https://0177.0.0.1/jwks',
  'https://127.1/jwks',
  'https://0/jwks',
  'https://127.0.0.1./jwks',
  'https://①②⑦.⓪.⓪.①/jwks',
  'https://[::1]/jwks',
  'https://[::ffff:127.0.0.1]/jwks',
  'https://[fd00::1]/jwks',
  'https://[2606:4700::1111]/jwks',
  'https://localhost/jwks',
  'https://LOCALHOST/jwks',
  'https://localhost./jwks',
  'https://app.localhost/jwks',
  'https://printer.local/jwks',
  'https://metadata.google.internal/jwks',
  'https://METADATA.google.INTERNAL/jwks',
  'https://router.home.arpa/jwks',
  'https://intranet/jwks',
  'https://com/jwks',
  'https://login.example./jwks',
  'https://login..example/jwks',
  'https://.example/jwks',
  'https://-login.example/jwks',
  'https://login-.example/jwks',
  'https://lo_gin.example/jwks',
  'https://login.1/jwks',
  'https://log in.example/jwks',
  'https://login%2eexample%00/jwks',
  'https://*.example/jwks',
  'https:login.example/jwks',
  'https:\\\\login.example\\jwks',
  'https://login.example\t/jwks',
  'https://login.example/jwks\n',
  ' https://login.example/jwks',
  // Taken by URL parsers, and asked for in another form than was written.
  'https:///login.example/jwks',
  'https://login.example\\@evil.test/jwks',
  'https://login.example:443/jwks',
  'https://LOGIN.example/jwks',
  'https://login.example/a/../jwks',
  `https://${'a'.repeat(64)}.example/jwks`,
  `https://${'a.'.repeat(124)}example/jwks`,
  `https://login.example/${'a'.repeat(512)}`,
]

describe('G10: the address of a key set', () => {
  it('G10: The address of a key set is https of a DNS name on port 443, without anything that leads elsewhere; all else is a 400', async () => {
    const broker = await acmeBroker()
    const bad = [...BAD_URLS, 1, null, true, [GOOD_URL], { href: GOOD_URL }]
    const rows = bad.map((jwksUrl): [string, unknown] => [String(jwksUrl), [right({ jwksUrl })]])
    expect(await others('400 invalid_request', broker, rows)).toEqual([])
    const create = { id: 'globex', name: 'G', region: 'weur', policy: { issuers: [right({ jwksUrl: BAD_URLS[0] })] } }
    expect(outcomeOf(await broker.admin('POST', '/tenants', create))).toBe('400 invalid_request')
    expect(await accountSql('SELECT * FROM issuers'), 'nothing was claimed').toEqual([])

    const good = [GOOD_URL, 'https://a.b.c.login.example/x?y=z', 'https://xn--bcher-kva.example/k']
    const fine = good.map((jwksUrl): [string, unknown] => [jwksUrl, [right({ jwksUrl })]])
    expect(await others('200', broker, fine)).toEqual([])
  })

  it('G10: The address of a key set that looks like another is refused: an operator sees the name that is asked', async () => {
    const broker = await acmeBroker()
    const looks = {
      'a Cyrillic o': 'l\u043egin.example',
      'full width': 'ｌogin.example',
      'a soft hyphen': 'log\u00adin.example',
    }
    const more = {
      'a dot that is none': 'login\u3002example',
      umlauts: 'bücher.example',
      'a turn of direction': '\u202elogin.example',
    }
    const rows = Object.entries({ ...looks, ...more }).map(([name, host]): [string, unknown] => [
      name,
      [right({ jwksUrl: `https://${host}/jwks` })],
    ])
    expect(await others('400 invalid_request', broker, rows)).toEqual([])
  })
})

describe('an issuer in a policy', () => {
  it('An issuer in a policy has exactly its fields within their bounds; all else is a 400', async () => {
    const broker = await acmeBroker()
    const { jwk }: Key = await newKey('a')
    const rows: [string, unknown][] = [
      ['no list', right()],
      ['text', 'https://login.example'],
      ['null in the list', [null]],
      ['a list in the list', [[right()]]],
      ['neither address nor keys', [right({ jwksUrl: undefined })]],
      ['both', [right({ jwks: { keys: [jwk] } })]],
      ['an unknown field', [right({ jku: GOOD_URL })]],
      ['eleven', Array.from({ length: 11 }, (_, at) => right({ audience: `a${at}` }))],
      ['the same twice', [right(), right({ algorithms: ['ES256'] })]],
      ['no issuer', [right({ issuer: undefined })]],
      ['an empty issuer', [right({ issuer: '' })]],
      ['an issuer of 256 characters', [right({ issuer: 'i'.repeat(256) })]],
      ['no audience', [right({ audience: undefined })]],
      ['an empty audience', [right({ audience: '' })]],
      ['no audience in the list', [right({ audience: [] })]],
      ['an audience twice', [right({ audience: ['calls', 'calls'] })]],
      ['an empty audience in the list', [right({ audience: ['calls', ''] })]],
      ['eleven audiences', [right({ audience: Array.from({ length: 11 }, (_, at) => `a${at}`) })]],
      ['audiences that overlap', [right({ audience: ['a', 'b'] }), right({ audience: 'b' })]],
      ['audience and client', [right({ client: AZP })]],
      ['neither audience nor client', [right({ audience: undefined })]],
      ['the same client twice', [byClient(AZP), byClient(AZP)]],
      ['a client without a claim', [byClient({ value: 'web' })]],
      ['a client without a value', [byClient({ claim: 'azp' })]],
      ['a client with more fields', [byClient({ ...AZP, jku: 'x' })]],
      ['a client with an empty value', [byClient({ claim: 'azp', value: '' })]],
      ['a client whose value is no text', [byClient({ claim: 'azp', value: 1 })]],
      ['a client whose claim is aud', [byClient({ claim: 'aud', value: 'calls' })]],
      ['a client whose claim is iss, with another value', [byClient({ claim: 'iss', value: 'https://other.example' })]],
      ['ignoreAudience beside audience', [right({ ignoreAudience: true })]],
      ['ignoreAudience as text', [byClient(AZP, { ignoreAudience: 'true' })]],
      ...[0, -1, 0.5, 2_764_801, '60', null].map((seconds): [string, unknown] => [
        `maxLifetimeSeconds ${seconds}`,
        [right({ maxLifetimeSeconds: seconds })],
      ]),
      ...[{}, 'a', [{}], [{ path: ['a'] }], [{ value: 1 }], [{ path: 'a', value: 1 }], [{ path: [], value: 1 }]].map(
        (paths): [string, unknown] => [
          `requiredClaimPaths ${JSON.stringify(paths)}`,
          [right({ requiredClaimPaths: paths })],
        ],
      ),
      ['a path with an empty name', [right({ requiredClaimPaths: [{ path: ['a', ''], value: 1 }] })]],
      ['a path of nine names', [right({ requiredClaimPaths: [{ path: Array(9).fill('a'), value: 1 }] })]],
      ['a path with an object as value', [right({ requiredClaimPaths: [{ path: ['a'], value: {} }] })]],
      ['21 paths', [right({ requiredClaimPaths: Array(21).fill({ path: ['a'], value: 1 }) })]],
      ['no algorithms', [right({ algorithms: undefined })]],
      ['none of them', [right({ algorithms: [] })]],
      ['an algorithm twice', [right({ algorithms: ['RS256', 'RS256'] })]],
      ['one as text', [right({ algorithms: 'RS256' })]],
      ...['none', 'None', 'HS256', 'HS384', 'HS512', 'ES256K', 'RS1', 'rs256', 'Ed448', '', null].map(
        (alg): [string, unknown] => [`algorithm ${alg}`, [right({ algorithms: ['RS256', alg] })]],
      ),
      ...['', 'a b', 'a\n', 'ä', 'x'.repeat(129), 1, null].map((claim): [string, unknown] => [
        `subjectClaim ${claim}`,
        [right({ subjectClaim: claim })],
      ]),
      ['requiredClaims in a list', [right({ requiredClaims: ['role'] })]],
      ['a required object', [right({ requiredClaims: { role: {} } })]],
      ['a required null', [right({ requiredClaims: { role: null } })]],
      ['a required list', [right({ requiredClaims: { role: ['a'] } })]],
      ['a required claim without a name', [right({ requiredClaims: { '': 'a' } })]],
      ['a required text too long', [right({ requiredClaims: { role: 'x'.repeat(256) } })]],
      ['no keys', [inline()]],
      ['keys that are none', [right({ jwksUrl: undefined, jwks: { keys: {} } })]],
      ['a bare key', [right({ jwksUrl: undefined, jwks: jwk })]],
      ['51 keys', [inline(...Array.from({ length: 51 }, () => ({ kty: 'EC' })))]],
      ['a private key', [inline({ ...jwk, d: 'AAAA' })]],
      ['a private key after a good one', [inline(jwk, { ...jwk, kid: 'b', d: '' })]],
      ['a secret', [inline({ kty: 'oct', k: 'AAAA' })]],
      ['a secret that says EC', [inline({ ...jwk, k: 'AAAA' })]],
      ['a key of no kind', [inline({ ...jwk, kty: undefined })]],
      ['a key of an unknown kind', [inline({ ...jwk, kty: 'AKP' })]],
      ['a key id that is no text', [inline({ ...jwk, kid: 1 })]],
      ['a key as text', [inline('MIIB')]],
    ]
    expect(await others('400 invalid_request', broker, rows)).toEqual([])
    const text = `{"policy":{"issuers":[${JSON.stringify(right({ requiredClaims: {} })).replace('{}', '{"__proto__":"x"}')}]}}`
    const proto = await broker.call('PATCH', '/v1/admin/tenants/acme', env.ADMIN_TOKEN, text)
    expect(outcomeOf(proto), 'a requirement is not lost in silence').toBe('400 invalid_request')
    expect(await policyOf(broker)).toMatchObject({ issuers: [] })
    expect(await accountSql('SELECT * FROM issuers'), 'nothing was claimed').toEqual([])
  })

  it('An issuer in a policy is answered as it was given, with its defaults; ten fit, and a public key keeps what it needs', async () => {
    const broker = await acmeBroker()
    const { jwk } = await newKey('a')
    const ten = Array.from({ length: 10 }, (_, at) => right({ audience: `a${at}` }))
    expect(await others('200', broker, [['ten', ten]])).toEqual([])
    const more = { requiredClaims: { role: 'caller', level: 3, verified: true }, subjectClaim: 'https://a.example/b' }
    expectStatus(await patch(broker, { issuers: [{ ...inline({ ...jwk, x5c: ['MIIB'], ext: true }), ...more }] }), 200)
    const { kty, crv, x, y, kid } = jwk
    expect(await policyOf(broker)).toMatchObject({ issuers: [{ jwks: { keys: [{ kty, crv, x, y, kid }] }, ...more }] })
    expect(JSON.stringify(await policyOf(broker))).not.toContain('x5c')
    expectStatus(await patch(broker, { issuers: [right()] }), 200)
    expect((await policyOf(broker)).issuers).toEqual([
      right({ subjectClaim: 'sub', requiredClaims: {}, requiredClaimPaths: [], maxLifetimeSeconds: 86_400 }),
    ])
  })

  it('An issuer in a policy is replaced with the whole list by a merge patch, kept when absent, gone with null', async () => {
    const broker = await acmeBroker()
    const audiences = async () => (await policyOf(broker)).issuers.map(({ audience }: { audience: string }) => audience)
    expectStatus(await patch(broker, { issuers: [right({ audience: 'a' }), right({ audience: 'b' })] }), 200)
    expectStatus(await patch(broker, { maxTtl: 7_200 }), 200)
    expect(await audiences()).toEqual(['a', 'b'])
    expectStatus(await patch(broker, { issuers: [right({ audience: 'c' })] }), 200)
    expect(await audiences()).toEqual(['c'])
    for (const nothing of [{ issuers: null }, { issuers: [] }, null]) {
      expectStatus(await patch(broker, { issuers: [right()] }), 200)
      expectStatus(await patch(broker, nothing), 200)
      expect(await audiences()).toEqual([])
    }
  })
})
