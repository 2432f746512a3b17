/** A tenant that issues: its TURN key, its client tokens, every door that hands out credentials, and the records. */
import { abortAllDurableObjects } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { expect } from 'vitest'
import type { LogEntry, ShownState } from '../../../emulator/client.ts'
import { SCOPES } from '../../../src/contract/scopes.ts'
import type { Answer } from '../broker/answer.ts'
import { type Broker, expectStatus, newBroker, newTenant, newTurnKey } from '../broker/broker.ts'
import { passTime } from '../broker/clock.ts'
import { outcomeOf, shown } from '../broker/contract.ts'
import { emulator } from '../broker/upstream.ts'
import { runJobs } from '../storage/storage.ts'
import { accountSql, tenantSql } from '../storage/tenantRows.ts'

export const APP = 'https://app.example'
export const OTHER_APP = 'https://other.example'

export type Issuer = Awaited<ReturnType<typeof newIssuer>>

/** A tenant with a TURN key, all scopes, and two origins. */
export async function newIssuer(policy: object = {}, id = 'acme', setUp: Broker = newBroker()) {
  const chosen = { allowedOrigins: [APP, OTHER_APP], ...policy }
  const { token, tokenId } = await newTenant(setUp, id, { scopes: [...SCOPES], policy: chosen })
  const uid = await newTurnKey(setUp, { id, token })
  return { id, token, tokenId, uid, broker: setUp, ...doorsOf(setUp, { id, token, uid }) }
}

/** The doors of a tenant at this broker. Another broker has other bindings and an empty memory. */
export function doorsOf(broker: Broker, { id, token, uid }: { id: string; token: string; uid: string }) {
  const post = (path: string, body: unknown, headers?: Record<string, string>) =>
    broker.call('POST', `/v1/tenants/${id}${path}`, token, body, headers)

  async function clientToken(subject = 'ann', more: object = {}, by = token): Promise<string> {
    const answer = await broker.call('POST', `/v1/tenants/${id}/client-tokens`, by, { subject, ttl: 3_600, ...more })
    expectStatus(answer, 201)
    return String(answer.json.token)
  }

  /** The browser door, called without an origin as a native app does. */
  const ice = (clientToken: string, body?: unknown, headers?: Record<string, string>): Promise<Answer> =>
    broker.call('POST', `/v1/tenants/${id}/ice-servers`, clientToken, body, headers)

  /** The server door: each call gets a credential of its own. */
  const generate = (body: unknown = {}): Promise<Answer> =>
    broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate`, token, body)

  async function revocation(body: unknown, headers?: Record<string, string>): Promise<Answer['json']> {
    const answer = await post('/revocations', body, headers)
    expectStatus(answer, 202)
    return answer.json
  }

  async function progress(revocationId: string): Promise<Answer['json']> {
    const answer = await broker.call('GET', `/v1/tenants/${id}/revocations/${revocationId}`, token)
    expectStatus(answer, 200)
    return answer.json
  }

  return { post, clientToken, ice, generate, revocation, progress }
}

export const expectOutcome = (answer: Answer, outcome: string): void =>
  expect(outcomeOf(answer), shown(answer)).toBe(outcome)

/** Counts the answers by outcome. */
export function tally(answers: readonly Answer[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const answer of answers) counts[outcomeOf(answer)] = (counts[outcomeOf(answer)] ?? 0) + 1
  return counts
}

/** The username that the answer of any door hands out; `undefined` when there is none. */
export function usernameIn({ json }: Answer): string | undefined {
  const servers: { username?: string }[] = [json?.iceServers ?? json ?? []].flat()
  return servers.find(({ username }) => username !== undefined)?.username
}

export const credentialRows = (id = 'acme') => tenantSql(id, 'SELECT * FROM credentials ORDER BY seq')

/** Requests for a credential that reached upstream. */
export const mintsAsked = async (): Promise<LogEntry[]> =>
  (await emulator.log()).filter(({ operation }) => operation === 'generate-ice-servers' || operation === 'generate')

export const upstreamCredentials = async (): Promise<ShownState['credentials']> => (await emulator.state()).credentials

/** The usernames for which upstream would still relay. */
export const usable = async (): Promise<string[]> =>
  (await upstreamCredentials()).filter(({ revoked }) => !revoked).map(({ username }) => username)

/** Runs `happens` while upstream, which has minted, holds back its answer; returns the broker's answer. */
export async function whileMinting(ask: () => Promise<Answer>, happens: () => Promise<unknown>): Promise<Answer> {
  await emulator.hold('generate-ice-servers', 'mint', { when: 'after' })
  const asked = ask()
  await emulator.untilHeld('mint')
  await happens()
  await emulator.release('mint')
  return asked
}

/** Expects that nothing was handed out and that the jobs revoke the minted credential. Moves the clock. */
export async function expectTakenBack(answer: Answer, older: readonly string[] = []): Promise<void> {
  expect(usernameIn(answer), answer.text).toBeUndefined()
  const added = (await credentialRows()).filter(({ username }) => !older.includes(String(username)))
  expect(added).toMatchObject([{ state: 'revoking', sealed: null }])
  passTime(120_000)
  await runJobs('acme')
  expect(await usable()).toEqual(older)
  const [{ username } = {}] = added
  expect(await credentialRows()).toContainEqual(expect.objectContaining({ username, state: 'revoked', sealed: null }))
}

/** Starts the Account: the reset between tests misses an object that was aborted or idle for ten seconds. */
export const wakeAccount = () => accountSql('SELECT 1')

/** Aborts every object at once. */
export async function killObjects(): Promise<void> {
  await abortAllDurableObjects()
  await wakeAccount()
}

/** Bindings that count what the Worker asks of the objects and of KV. */
export function countingBindings() {
  const counts = { rpc: 0, kv: 0 }
  const counted = <T extends object>(target: T, what: 'rpc' | 'kv'): T =>
    new Proxy(target, {
      get(_, name) {
        const value: unknown = Reflect.get(target, name)
        if (typeof value !== 'function') return value
        return (...given: unknown[]) => {
          counts[what]++
          // Called on its owner: a stub's method detached from it is no RPC.
          return (target as Record<PropertyKey, (...all: unknown[]) => unknown>)[name]?.(...given)
        }
      },
    })
  const namespace = <T extends DurableObjectNamespace>(target: T): T =>
    ({
      idFromName: (name: string) => target.idFromName(name),
      get: (id: DurableObjectId) => counted(target.get(id), 'rpc'),
    }) as unknown as T // all that the Worker uses of a namespace
  return {
    counts,
    bindings: {
      TENANTS: namespace(env.TENANTS),
      ACCOUNT: namespace(env.ACCOUNT),
      CACHE: counted(env.CACHE, 'kv'),
    },
  }
}
