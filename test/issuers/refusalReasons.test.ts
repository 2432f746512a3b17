/** Why a JWT was refused: a code in the log line, and in the tenant's audit trail where its provider signed the token. */
import { describe, expect, it, vi } from 'vitest'
import { countedObjects, staleCache } from '../support/broker/bindings.ts'
import { newBroker } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from '../support/broker/clock.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { APP, askIceServers, auditOf } from '../support/broker/doors.ts'
import { ISSUER, issuerAt, jwtOf, newKey } from '../support/secrets/idp.ts'
import { runJobs } from '../support/storage/storage.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

const [key, foreign] = [await newKey('good'), await newKey('good')]

/** A tenant with one provider, and an edge that knows it. */
async function acme() {
  await newIssuer({
    allowedOrigins: [APP],
    issuers: [issuerAt({ keys: [key] }, { requiredClaims: { role: 'caller' } })],
  })
  const { reached, ...objects } = countedObjects()
  const edge = newBroker({ CACHE: await staleCache(), ...objects })
  passTime(10 * SECOND_MS)
  const ask = async (token: string) => {
    const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)
    const answer = await askIceServers(edge, 'acme', token, { origin: APP })
    const lines = log.mock.calls.map(([line]) => JSON.parse(String(line)) as Record<string, unknown>)
    log.mockRestore()
    return { answer, line: lines.find(({ event }) => event === 'request') }
  }
  const trail = () => auditOf(newBroker(), 'acme', '&action=credential.issue&outcome=refused')
  return { edge, reached, ask, trail }
}

const good = (changes: object = {}) => jwtOf(key, { role: 'caller', sub: 'Somebody', ...changes })

const REFUSED: Record<string, { token: () => Promise<string>; reason: string; isRecorded: boolean }> = {
  'of another audience': { token: () => good({ aud: 'other' }), reason: 'audience_foreign', isRecorded: true },
  'that has expired': { token: () => good({ iat: 1_000, exp: 2_000 }), reason: 'expired', isRecorded: true },
  'without a claim': { token: () => good({ role: undefined }), reason: 'claim_missing', isRecorded: true },
  'without a subject': { token: () => good({ sub: undefined }), reason: 'subject_missing', isRecorded: true },
  'of another issuer': {
    token: () => good({ iss: 'https://elsewhere.example' }),
    reason: 'issuer_unknown',
    isRecorded: false,
  },
  'that is forged': { token: () => jwtOf(foreign, { role: 'caller' }), reason: 'signature_invalid', isRecorded: false },
  'that is forged and expired': {
    token: () => jwtOf(foreign, { iat: 1_000, exp: 2_000 }),
    reason: 'expired',
    isRecorded: false,
  },
  'that is none': { token: async () => 'junk', reason: 'not_a_jws', isRecorded: false },
}

describe('a refused JWT', () => {
  it('G17: Forged JWTs that break a rule reach no object, and signed ones are noted once in 5 s, in one row a minute', async () => {
    // From a full minute on, so that all of it is in one.
    passTime(2 * MINUTE_MS - (Date.now() % MINUTE_MS))
    const { ask, trail, reached } = await acme()
    await ask(await good())
    reached.count = 0
    const flood = (token: () => Promise<string>) =>
      Promise.all(Array.from({ length: 30 }, async () => ask(await token())))
    await flood(() => jwtOf(foreign, { iat: 1_000, exp: 2_000 }))
    expect(reached.count).toBe(0)
    passTime(6 * SECOND_MS)
    for (let at = 0; at < 3; at++) {
      await flood(() => good({ iat: 1_000, exp: 2_000 }))
      expect(reached.count).toBe(at + 1)
      passTime(6 * SECOND_MS)
    }
    await runJobs('acme')
    expect(await trail()).toMatchObject([{ code: 'expired', count: 3 }])
  })

  it.each(Object.entries(REFUSED))(
    'A JWT %s leaves its reason in the log, and in the trail only if its provider signed it',
    async (_, row) => {
      const { ask, trail } = await acme()
      const { answer, line } = await ask(await row.token())
      expect(outcomeOf(answer)).toBe('401 invalid_token')
      expect(answer.json.detail).toBe('A valid bearer token is required.')
      expect(answer.text).not.toContain(row.reason)
      expect(line).toMatchObject({ code: 'invalid_token', reason: row.reason })
      expect(JSON.stringify(line)).not.toMatch(/Somebody|elsewhere|other/)
      const rows = await trail()
      const recorded = {
        actor: `tenant-jwt:${ISSUER}`,
        code: row.reason,
        subjectId: null,
        target: null,
        origin: APP,
        count: 1,
      }
      expect(rows).toMatchObject(row.isRecorded ? [recorded] : [])
      expect(JSON.stringify(rows)).not.toContain('Somebody')
    },
  )

  it('A JWT that is let in has no reason', async () => {
    const { ask } = await acme()
    const { answer, line } = await ask(await good())
    expect(outcomeOf(answer)).toBe('201')
    expect(line).toMatchObject({ code: null, reason: null, tenant: 'acme' })
  })
})
