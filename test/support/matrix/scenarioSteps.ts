/** What the fault matrix has callers and jobs do, and what is there before that: keys, credentials, operations that failed. */
import { env } from 'cloudflare:workers'
import type { Operation } from '../../../emulator/client.ts'
import { ROUTES, type RouteName } from '../../../src/contract/routes.ts'
import { SCOPES } from '../../../src/contract/scopes.ts'
import type { Answer } from '../broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from '../broker/broker.ts'
import { MINUTE_MS, passTime, SECOND_MS } from '../broker/clock.ts'
import { emulator } from '../broker/upstream.ts'
import { runJobs } from '../storage/storage.ts'
import { usernameIn } from '../tenants/issuing.ts'
import { rotatePath } from '../tenants/rotating.ts'
import { takeMintSlots } from './lending.ts'
import type { Aftermath } from './oracle.ts'

const TWO_DAYS_SECONDS = 172_800

export interface World {
  readonly id: string
  readonly token: string
  readonly broker: Broker
  /** A key for scenarios that leave one as it was. */
  readonly shared: { uid?: string }
  /** Of the keys that are imported. */
  readonly secrets: Map<string, string>
}

export async function newWorld(id: string): Promise<World> {
  const broker = newBroker()
  await emulator.settings({ rateLimit: null })
  // No limit of ours may keep a cell from being played.
  const policy = {
    maxTurnKeys: 1_000,
    maxApiCallsPer5Min: 600,
    maxMintsPerMinute: 100_000,
    maxServerTtl: TWO_DAYS_SECONDS,
  }
  const scopes = SCOPES.filter((scope) => scope !== 'turn_keys:reveal')
  const { token } = await newTenant(broker, id, { scopes, policy })
  return { id, token, broker, shared: {}, secrets: new Map() }
}

/** What a scenario is about: the key's name, which is the cell's; its uid and a credential of it where it has them. */
export interface Thing {
  readonly name: string
  readonly uid: string
  readonly username: string
}

export interface Scenario {
  /** The operation upstream that is spoilt. */
  readonly operation: Operation
  /** The route it comes by; `null`: a job's own. */
  readonly route: RouteName | null
  readonly prepare: (world: World, name: string) => Promise<Thing>
  readonly act: (world: World, thing: Thing) => Promise<Answer | undefined>
  /** Its operation meets every fault elsewhere: one of each kind will do. */
  readonly kindsOnly?: true
  /** Its mints go over the connections of their callers; a cell in which none did is a failure. */
  readonly lent?: true
  /** Where upstream is asked the same again: within the call, or by the job that carries it on. */
  readonly asksAgain?: 'in the call' | 'by its job'
  /** After a day: what the caller does who still wants it. */
  readonly again?: (world: World, thing: Thing) => Promise<Answer>
  /** All cells are about one thing. */
  readonly againOnce?: true
  readonly check: (thing: Thing, answer: Answer | undefined, after: Aftermath, again: Answer | undefined) => string[]
}

export const deadlineOf = ({ route }: Scenario): number =>
  route === null ? Number.POSITIVE_INFINITY : ROUTES[route].deadlineMs

export const nothing = async (_: World, name: string): Promise<Thing> => ({ name, uid: '', username: '' })
export const aKey = async (world: World, name: string): Promise<Thing> => ({
  name,
  uid: await newTurnKey(world.broker, world, name),
  username: '',
})
export async function sharedKey(world: World, name: string): Promise<Thing> {
  world.shared.uid ??= await newTurnKey(world.broker, world, 'shared')
  return { name, uid: world.shared.uid, username: '' }
}
/** All mint slots of the object are taken. */
export async function aCrowdedKey(world: World, name: string): Promise<Thing> {
  const thing = await sharedKey(world, name)
  await takeMintSlots(world.id, async () => expectStatus(await mint(world, thing.uid), 201))
  return thing
}
export const mint = ({ broker, token }: World, uid: string) =>
  broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate-ice-servers`, token, { ttl: TWO_DAYS_SECONDS })

async function issued(world: World, thing: Thing): Promise<Thing> {
  let answer = await mint(world, thing.uid)
  // On a machine with much else to do, a mint's deadline may pass.
  for (let retry = 0; answer.status >= 500 && retry < 3; retry++) answer = await mint(world, thing.uid)
  expectStatus(answer, 201)
  return { ...thing, username: usernameIn(answer) ?? '' }
}

/** An operation of ours that upstream fails once, so that its job has to carry it on. */
export async function spoilt(
  operation: Operation,
  when: 'before' | 'after',
  ask: () => Promise<Answer>,
): Promise<void> {
  await emulator.fault({ operation, fault: { kind: 'status', status: 502, when } })
  // The creation of the key was written to KV just before: the next put of its entry has to wait for its second.
  passTime(SECOND_MS)
  const { status } = await ask()
  if (status < 500) throw new Error(`${operation} was to fail, not to be answered ${status}`)
}

export const runs = async ({ id }: World): Promise<undefined> => {
  await runJobs(id)
}

export const create = ({ broker, id, token }: World, name: string) =>
  broker.call('POST', keysPath(id), token, { name }, { 'idempotency-key': name })
export const anIssuingKey = async (world: World, name: string) => issued(world, await aKey(world, name))
export const aCredential = async (world: World, name: string) => issued(world, await sharedKey(world, name))
export const rename = ({ broker, id, token }: World, uid: string, name: string) =>
  broker.call('PUT', keysPath(id, uid), token, { name })
export const remove = ({ broker, id, token }: World, uid: string) => broker.call('DELETE', keysPath(id, uid), token)
export const revoke = ({ broker, token }: World, { uid, username }: Thing) =>
  broker.call('POST', `/v1/turn/keys/${uid}/credentials/${encodeURIComponent(username)}/revoke`, token)
export const lookUp = ({ broker, id, token }: World, uid: string) => broker.call('GET', keysPath(id, uid), token)

export const rotate = ({ broker, id, token }: World, { uid, name }: Thing) =>
  broker.call('POST', rotatePath(id, uid), token, {}, { 'idempotency-key': name })

/** Made by hand, beside the broker. */
export async function aForeignKey({ secrets }: World, name: string): Promise<Thing> {
  const { uid, key } = await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: `by hand ${name}` })
  secrets.set(uid, key)
  return { name, uid, username: '' }
}
export const importKey = ({ broker, id, secrets }: World, { uid, name }: Thing) =>
  broker.admin('POST', `/tenants/${id}/turn-keys/import`, { uid, key: secrets.get(uid), name })

/** A creation that upstream carried out and whose answer was lost; its job is due. */
export async function aLostCreation(world: World, name: string): Promise<Thing> {
  await spoilt('create', 'after', () => create(world, name))
  passTime(1.1 * MINUTE_MS)
  return nothing(world, name)
}
