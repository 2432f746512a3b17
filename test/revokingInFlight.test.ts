/** G6: whatever takes a right away stops mints at once, those in flight too, whatever KV still says. */
import { describe, expect, it } from 'vitest'
import { staleCache } from './support/bindings.ts'
import { type Answer, expectStatus, keysPath, newBroker, newToken } from './support/broker.ts'
import { passTime, until } from './support/clock.ts'
import {
  APP,
  countingBindings,
  credentialRows,
  doorsOf,
  expectOutcome,
  type Issuer,
  newIssuer,
  upstreamCredentials,
  usable,
  usernameIn,
  whileMinting,
} from './support/issuing.ts'
import { runJobs } from './support/storage.ts'
import { jobRows, keyRows } from './support/tenantRows.ts'
import { emulator } from './support/upstream.ts'

const tomorrow = () => new Date(Date.now() + 86_400_000).toISOString()
const patch = async ({ broker }: Issuer, change: object) =>
  expectStatus(await broker.admin('PATCH', '/tenants/acme', change), 200)
const ban = async ({ post }: Issuer, what: object) =>
  expectStatus(await post('/bans', { ...what, until: tomorrow() }), 201)
const deleteToken = async ({ broker, tokenId }: Issuer) =>
  expectStatus(await broker.admin('DELETE', `/tenants/acme/api-tokens/${tokenId}`), 204)

interface Taking {
  readonly takes: (acme: Issuer) => Promise<unknown>
  /** What the mint in flight is answered, and the next one. */
  readonly browser: readonly [string, string]
  readonly server: readonly [string, string]
}

const AGAIN = '503 broker_busy'
const TWIN_AGAIN = '503 31024'

const takings: Record<string, Taking> = {
  'the tenant is suspended': {
    takes: (acme) => patch(acme, { status: 'suspended' }),
    browser: ['403 tenant_suspended', '403 tenant_suspended'],
    server: ['403 31004', '403 31004'],
  },
  'the subject is banned': {
    takes: (acme) => ban(acme, { subject: 'ann' }),
    browser: ['403 subject_banned', '403 subject_banned'],
    server: ['403 31005', '403 31005'],
  },
  'the API token is banned': {
    takes: (acme) => ban(acme, { tokenId: acme.tokenId }),
    browser: ['403 subject_banned', '403 subject_banned'],
    server: ['403 31005', '403 31005'],
  },
  'the API token is deleted, and with it the client tokens it made': {
    takes: deleteToken,
    browser: ['401 invalid_token', '401 invalid_token'],
    server: ['401 10000', '401 10000'],
  },
  'the subject is revoked': {
    takes: ({ revocation }) => revocation({ subject: 'ann' }),
    browser: [AGAIN, '201'],
    server: [TWIN_AGAIN, '201'],
  },
  'the subject is revoked and banned': {
    takes: ({ revocation }) => revocation({ subject: 'ann', banUntil: tomorrow() }),
    browser: ['403 subject_banned', '403 subject_banned'],
    server: [TWIN_AGAIN, '403 31005'],
  },
  'the key is revoked': {
    takes: ({ revocation, uid }) => revocation({ keyId: uid }),
    browser: [AGAIN, '201'],
    server: [TWIN_AGAIN, '201'],
  },
  'everything is revoked': {
    takes: ({ revocation }) => revocation({ all: true }),
    browser: [AGAIN, '201'],
    server: [TWIN_AGAIN, '201'],
  },
  'the ceiling is lowered': {
    takes: (acme) => patch(acme, { policy: { maxTtl: 600, defaultTtl: 600 } }),
    browser: ['400 ttl_too_long', '400 ttl_too_long'],
    server: ['400 31002', '400 31002'],
  },
}

/** Nothing was handed out, and what was minted is taken back once the jobs have run. */
async function expectTakenBack(answer: Answer, older: readonly string[] = []): Promise<void> {
  expect(usernameIn(answer), answer.text).toBeUndefined()
  const mine = (await credentialRows()).filter(({ username }) => !older.includes(String(username)))
  expect(mine).toMatchObject([{ state: 'revoking', sealed: null }])
  passTime(120_000)
  await runJobs('acme')
  expect(await usable()).toEqual(older)
  const [{ username } = {}] = mine
  expect(await credentialRows()).toContainEqual(expect.objectContaining({ username, state: 'revoked', sealed: null }))
}

describe.each(Object.entries(takings))(
  'G6: while a mint is open upstream, %s:',
  (_name, { takes, browser, server }) => {
    it('a browser is handed nothing', async () => {
      const acme = await newIssuer()
      const token = await acme.clientToken()
      passTime(120_000)
      const answer = await whileMinting(
        () => acme.ice(token, { ttl: 3_600 }),
        () => takes(acme),
      )
      expectOutcome(answer, browser[0])
      await expectTakenBack(answer)
      expectOutcome(await acme.ice(token, { ttl: 3_600 }), browser[1])
    })

    it('a server is handed nothing', async () => {
      const acme = await newIssuer()
      passTime(120_000)
      const ask = () => acme.generate({ customIdentifier: 'ann', ttl: 3_600 })
      const answer = await whileMinting(ask, () => takes(acme))
      expectOutcome(answer, server[0])
      await expectTakenBack(answer)
      expectOutcome(await ask(), server[1])
    })

    it('a browser is handed nothing at an edge whose KV is 60 s stale', async () => {
      const acme = await newIssuer()
      const edge = doorsOf(newBroker({ CACHE: await staleCache() }), acme)
      const token = await edge.clientToken()
      const ask = () => edge.ice(token, { ttl: 3_600 }, { origin: APP })
      const answer = await whileMinting(ask, () => takes(acme))
      expectOutcome(answer, browser[0])
      expect(usernameIn(answer)).toBeUndefined()
      await until('it is revoked upstream', async () => (await usable()).length === 0)
      const next = await ask()
      expectOutcome(next, browser[1])
    })
  },
)

/** Calls of one subject that share one mint, which is held open until something has happened. */
async function alsoWaiting(acme: Issuer, tokens: string[], happens: () => Promise<unknown>): Promise<Answer[]> {
  const { counts, bindings } = countingBindings()
  const edge = doorsOf(newBroker(bindings), acme)
  const [first = '', ...rest] = tokens
  const others: Promise<Answer>[] = []
  const answer = await whileMinting(
    () => acme.ice(first),
    async () => {
      others.push(...rest.map((token) => edge.ice(token)))
      await until('the others wait too', async () => counts.rpc === rest.length)
      await happens()
    },
  )
  return [answer, ...(await Promise.all(others))]
}

describe('G6: while a mint is open upstream,', () => {
  it('its origin is removed from the policy: the page is handed nothing, also where KV is 60 s stale', async () => {
    const acme = await newIssuer()
    const edge = doorsOf(newBroker({ CACHE: await staleCache() }), acme)
    const token = await acme.clientToken()
    const ask = () => edge.ice(token, undefined, { origin: APP })
    const answer = await whileMinting(ask, () => patch(acme, { policy: { allowedOrigins: [] } }))
    expectOutcome(answer, '403 origin_not_allowed')
    expect(usernameIn(answer)).toBeUndefined()
    await until('it is revoked upstream', async () => (await usable()).length === 0)
    expectOutcome(await ask(), '403 origin_not_allowed')
  })

  it('an origin becomes required: an app without one is handed nothing', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token),
      () => patch(acme, { policy: { requireOrigin: true } }),
    )
    expectOutcome(answer, '403 origin_not_allowed')
    await expectTakenBack(answer)
  })

  it('the ceiling falls below the default it is minted for: nothing is handed out, and asked again it is shorter', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token),
      () => patch(acme, { policy: { maxTtl: 600, defaultTtl: 600 } }),
    )
    expectOutcome(answer, AGAIN)
    await expectTakenBack(answer)
    expect((await acme.ice(token)).json.ttl).toBe(600)
  })

  it('the TURN key is deleted: nothing is handed out, and the key outlives the credential', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    let deleted: Promise<Answer> | undefined
    const answer = await whileMinting(
      () => acme.ice(token),
      async () => {
        deleted = acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token)
        await until('the key mints no more', async () => (await keyRows('acme'))[0]?.state === 'deleting')
      },
    )
    expectOutcome(answer, '409 no_turn_key')
    expect(usernameIn(answer)).toBeUndefined()
    expectStatus((await deleted) as Answer, 200)
    expect(await upstreamCredentials()).toMatchObject([{ revoked: true }])
    expect(await credentialRows()).toMatchObject([{ state: 'revoked', sealed: null }])
    expect((await emulator.state()).keys).toMatchObject([{ deleted: expect.any(String) }])
    expect((await jobRows('acme')).map(({ kind }) => kind)).not.toContain('remove-turn-key')
  })

  it('the TURN key is deleted, and the mint takes longer than the deletion waits: the key goes after it', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answer = await whileMinting(
      () => acme.ice(token),
      async () => {
        const deleted = acme.broker.call('DELETE', keysPath('acme', acme.uid), acme.token)
        await until('the key mints no more', async () => (await keyRows('acme'))[0]?.state === 'deleting')
        passTime(3_000)
        expectOutcome(await deleted, TWIN_AGAIN)
      },
    )
    expectOutcome(answer, '409 no_turn_key')
    expect((await emulator.state()).keys).toMatchObject([{ deleted: null }])
    await expectTakenBack(answer)
    await runJobs('acme')
    expect((await emulator.state()).keys).toMatchObject([{ deleted: expect.any(String) }])
  })

  it('the token of one of two callers that share it is deleted: the other is served, with its own', async () => {
    const acme = await newIssuer()
    const second = await newToken(acme.broker, 'acme', ['client_tokens:create'])
    const [doomed, good] = [await acme.clientToken('ann'), await acme.clientToken('ann', {}, second.token)]
    passTime(120_000)
    const answers = await alsoWaiting(acme, [doomed, good], () => deleteToken(acme))
    const [answer, served] = answers as [Answer, Answer]
    expectOutcome(answer, '401 invalid_token')
    expectOutcome(served, '201')
    await expectTakenBack(answer, [String(usernameIn(served))])
  })

  it('the subject is revoked: parallel callers are all refused', async () => {
    const acme = await newIssuer()
    const token = await acme.clientToken()
    passTime(120_000)
    const answers = await alsoWaiting(acme, [token, token, token], () => acme.revocation({ subject: 'ann' }))
    for (const answer of answers) expectOutcome(answer, AGAIN)
    await expectTakenBack(answers[0] as Answer)
  })
})
