/** Client tokens: what may be put into one, and what is in it. */
import { env } from 'cloudflare:workers'
import { decodeJwt, decodeProtectedHeader } from 'jose'
import { describe, expect, it } from 'vitest'
import { SCOPES } from '../../src/contract/scopes.ts'
import { type Broker, expectStatus, keysPath, newBroker, newToken, newTurnKey } from '../support/broker/broker.ts'
import { SECOND_MS } from '../support/broker/clock.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import {
  APP,
  askIceServers,
  auditOf,
  clientToken,
  expectProblem,
  type Served,
  served,
  tenantPath,
} from '../support/broker/doors.ts'
import { emulator } from '../support/broker/upstream.ts'

async function acmeServed(policy: object = {}) {
  const broker = newBroker()
  return { broker, acme: await served(broker, 'acme', { policy }) }
}

const create = (broker: Broker, { id, token }: Served, body: unknown) =>
  broker.call('POST', tenantPath(id, 'client-tokens'), token, body)

describe('a client token', () => {
  it('A client token holds what it was made for, and no more', async () => {
    const { broker, acme } = await acmeServed()
    const before = Math.floor(Date.now() / 1_000)
    const plain = await create(broker, acme, { subject: 'alice' })
    const full = await create(broker, acme, {
      subject: 'Ünïcødé 🦊',
      ttl: 60,
      credentialTtl: 120,
      origin: APP,
      keyId: acme.uid,
    })
    for (const answer of [plain, full]) {
      expectStatus(answer, 201)
      expect(Object.keys(answer.json)).toEqual(['token', 'expiresAt'])
      expect(answer.headers.get('cache-control')).toBe('no-store')
      expect(decodeProtectedHeader(answer.json.token)).toEqual({ alg: 'HS256', typ: 'client+jwt', kid: 'k1' })
    }
    const base = {
      iss: 'turn-broker:test',
      aud: 'turn-broker:test/acme',
      ati: acme.tokenId,
      iat: expect.any(Number),
      exp: expect.any(Number),
    }
    const claims = [decodeJwt(plain.json.token), decodeJwt(full.json.token)] as const
    expect(claims[0]).toEqual({ ...base, sub: 'alice', jti: expect.stringMatching(/^[\w-]{16}$/) })
    expect(claims[1]).toEqual({
      ...base,
      sub: 'Ünïcødé 🦊',
      jti: expect.stringMatching(/^[\w-]{16}$/),
      cttl: 120,
      origin: APP,
      keyId: acme.uid,
    })
    expect(claims[0].jti).not.toBe(claims[1].jti)
    expect(claims.map(({ iat = 0, exp = 0 }) => exp - iat)).toEqual([600, 60])
    expect(claims[0].iat).toBeGreaterThanOrEqual(before)
    expect(Date.parse(plain.json.expiresAt)).toBe(Number(claims[0].exp) * SECOND_MS)
  })

  it('A client token is on the audit trail once, without its subject, and asks nothing upstream', async () => {
    const { broker, acme } = await acmeServed()
    await emulator.clearLog()
    await clientToken(broker, acme, { subject: 'alice@example.org', origin: APP })
    expect(await emulator.log()).toEqual([])
    const events = await auditOf(broker, 'acme', '&action=client_token.create')
    expect(events).toMatchObject([
      { actor: `api-token:${acme.tokenId}`, outcome: 'done', origin: APP, subjectId: null, count: 1 },
    ])
    expect(JSON.stringify(events)).not.toContain('alice')
  })

  it('A client token mints for its subject, by its key, for its time', async () => {
    const { broker, acme } = await acmeServed()
    const second = await newTurnKey(broker, acme, 'second')
    const token = await clientToken(broker, acme, { keyId: second, credentialTtl: 77, subject: 'a'.repeat(128) })
    expectStatus(await askIceServers(broker, 'acme', token), 201)
    const [{ credentials }, [asked]] = await Promise.all([emulator.state(), emulator.log('generate-ice-servers')])
    expect(credentials.map(({ uid }) => uid)).toEqual([second])
    expect(asked?.body).toEqual({ ttl: 77, customIdentifier: expect.stringMatching(/^su_[0-9A-Za-z]{22}$/) })

    // Its key is no more: no other takes its place.
    expectStatus(await broker.call('DELETE', keysPath('acme', second), acme.token), 200)
    expectProblem(await askIceServers(broker, 'acme', token), 'no_turn_key')
    expectProblem(await create(broker, acme, { subject: 'alice', keyId: second }), 'invalid_request')
  })
})

describe('making a client token', () => {
  const ok = (subject: string) => ({ subject })

  it('Making a client token takes these', async () => {
    const { broker, acme } = await acmeServed()
    const rows = [
      ...['a', ' ', '0', 'null', 'a b', "'; DROP TABLE subjects;--", '<script>', '%00', '__proto__', 'constructor'].map(
        ok,
      ),
      ...[
        'x'.repeat(128),
        '🦊'.repeat(128),
        'é'.repeat(128),
        'e\u0301',
        '\u200d',
        '\u202e',
        '\uffff',
        '\u{10ffff}',
        '日本語',
      ].map(ok),
      ...[1, 600, 3_600].map((ttl) => ({ subject: 'a', ttl })),
      ...[1, 3_600, 14_400].map((credentialTtl) => ({ subject: 'a', credentialTtl })),
      { subject: 'a', origin: APP },
      { subject: 'a', keyId: acme.uid },
    ]
    const wrong: string[] = []
    for (const row of rows) {
      const answer = await create(broker, acme, row)
      if (answer.status !== 201 || decodeJwt(answer.json.token).sub !== row.subject)
        wrong.push(`${JSON.stringify(row)}: ${shown(answer)}`)
      // What is made opens the door.
      else if (!('origin' in row)) expectStatus(await askIceServers(broker, 'acme', answer.json.token), 201)
    }
    expect(wrong).toEqual([])
  })

  it('Making a client token refuses these, each with a 400', async () => {
    const { broker, acme } = await acmeServed({ allowedOrigins: [APP, 'http://localhost:5173'] })
    const subjects = [
      '""',
      'null',
      '1',
      '[]',
      '{}',
      'true',
      '["alice"]',
      '"\\ud800"',
      '"a\\udfffb"',
      '"\\u0000"',
      '"a\\nb"',
      '"\\u007f"',
      '"\\u0085"',
      '"\\u001b[0m"',
    ]
    const tooLong = ['x'.repeat(129), '🦊'.repeat(129), 'x'.repeat(10_000)].map((subject) => JSON.stringify(subject))
    const others = [
      ...['0', '-1', '3601', '172800', '1.5', '"600"', 'null', '1e999', '[600]', 'true'].map((ttl) => `"ttl":${ttl}`),
      ...['0', '-1', '172801', '1.5', '"600"', 'null', '1e9', '[600]'].map((ttl) => `"credentialTtl":${ttl}`),
      ...[
        'https://stranger.example',
        'https://app.example/',
        'HTTPS://app.example',
        'null',
        '*',
        '',
        'http://localhost',
      ].map((origin) => `"origin":${JSON.stringify(origin)}`),
      ...['null', '[]', '["https://app.example"]'].map((origin) => `"origin":${origin}`),
      ...['""', '"x"', '1', 'null', `"${'a'.repeat(32)}"`, `"${acme.uid} "`].map((uid) => `"keyId":${uid}`),
      ...['"sub":"bob"', '"exp":1', '"scopes":[]', '"customIdentifier":"bob"', '"subject":"bob"'],
    ]
    const bodies = [
      ...[...subjects, ...tooLong].map((subject) => `{"subject":${subject}}`),
      ...others.map((other) => `{"subject":"alice",${other}}`),
      ...['{}', '[]', 'null', '"alice"', '', '{"ttl":60}'],
    ]
    const wrong: string[] = []
    for (const body of bodies) {
      const answer = await create(broker, acme, body)
      if (outcomeOf(answer) !== '400 invalid_request') wrong.push(`${body.slice(0, 80)}: ${shown(answer)}`)
    }
    expect(wrong).toEqual([])
    const tooLongLived = await create(broker, acme, { subject: 'a', credentialTtl: 14_401 })
    expectProblem(tooLongLived, 'ttl_too_long')
    expect(tooLongLived.json.detail).toContain('14400')
  })

  it('Making a client token needs its scope and an active tenant; an operator may too', async () => {
    const { broker, acme } = await acmeServed()
    const all = SCOPES.filter((scope) => scope !== 'client_tokens:create')
    const other = await newToken(broker, 'acme', [...all])
    expectProblem(await create(broker, { ...acme, ...other }, { subject: 'a' }), 'insufficient_scope')
    const byOperator = await create(broker, { ...acme, token: env.ADMIN_TOKEN }, { subject: 'a' })
    expectStatus(byOperator, 201)
    expect(decodeJwt(byOperator.json.token).ati).toBe('operator')
    expectStatus(await askIceServers(broker, 'acme', byOperator.json.token), 201)
    expectStatus(await broker.admin('PATCH', '/tenants/acme', { status: 'suspended' }), 200)
    expectProblem(await create(broker, acme, { subject: 'a' }), 'tenant_suspended')
  })
})
