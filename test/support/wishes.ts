/** What callers and jobs ask of upstream, one kind of wish for each way to reach an operation there. */
import { env } from 'cloudflare:workers'
import type { Operation } from '../../emulator/client.ts'
import { ROUTES, type RouteName } from '../../src/contract/routes.ts'
import { SCOPES } from '../../src/contract/scopes.ts'
import { type Answer, type Broker, expectStatus, keysPath, newBroker, newTenant, newTurnKey } from './broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from './clock.ts'
import { usernameIn } from './issuing.ts'
import { type Aftermath, liveOf } from './oracle.ts'
import { rotatePath } from './rotating.ts'
import { runJobs } from './storage.ts'
import { emulator } from './upstream.ts'

const TWO_DAYS_SECONDS = 172_800

export interface World {
  readonly id: string
  readonly token: string
  readonly broker: Broker
  /** A key for wishes that leave one as it was. */
  readonly shared: { uid?: string }
  /** Of the keys that are imported. */
  readonly secrets: Map<string, string>
}

export async function newWorld(id: string): Promise<World> {
  const broker = newBroker()
  await emulator.settings({ rateLimit: null })
  // No limit of ours may keep a cell from being played.
  const policy = { maxTurnKeys: 1_000, maxApiCallsPer5Min: 720, maxMintsPerMinute: 100_000, maxTtl: TWO_DAYS_SECONDS }
  const scopes = SCOPES.filter((scope) => scope !== 'turn_keys:reveal')
  const { token } = await newTenant(broker, id, { scopes, policy })
  return { id, token, broker, shared: {}, secrets: new Map() }
}

/** What a wish is about: the key's name, which is the cell's; its uid and a credential of it where it has them. */
export interface Thing {
  readonly name: string
  readonly uid: string
  readonly username: string
}

export interface Wish {
  /** The operation upstream that is spoilt. */
  readonly operation: Operation
  /** The route it comes by; `null`: a job's own. */
  readonly route: RouteName | null
  readonly prepare: (world: World, name: string) => Promise<Thing>
  readonly act: (world: World, thing: Thing) => Promise<Answer | undefined>
  /** Its operation meets every fault elsewhere: one of each kind will do. */
  readonly kindsOnly?: true
  /** Where upstream is asked the same again: within the call, or by the job that carries it on. */
  readonly asksAgain?: 'in the call' | 'by its job'
  /** After a day: what the caller does who still wants it. */
  readonly again?: (world: World, thing: Thing) => Promise<Answer>
  /** All cells are about one thing. */
  readonly againOnce?: true
  readonly check: (thing: Thing, answer: Answer | undefined, after: Aftermath, again: Answer | undefined) => string[]
}

export const deadlineOf = ({ route }: Wish): number =>
  route === null ? Number.POSITIVE_INFINITY : ROUTES[route].deadlineMs

const nothing = async (_: World, name: string): Promise<Thing> => ({ name, uid: '', username: '' })
const aKey = async (world: World, name: string): Promise<Thing> => ({
  name,
  uid: await newTurnKey(world.broker, world, name),
  username: '',
})
async function sharedKey(world: World, name: string): Promise<Thing> {
  world.shared.uid ??= await newTurnKey(world.broker, world, 'shared')
  return { name, uid: world.shared.uid, username: '' }
}
const mint = ({ broker, token }: World, uid: string) =>
  broker.call('POST', `/v1/turn/keys/${uid}/credentials/generate-ice-servers`, token, { ttl: TWO_DAYS_SECONDS })

async function issued(world: World, thing: Thing): Promise<Thing> {
  let answer = await mint(world, thing.uid)
  // On a machine with much else to do, a mint's deadline may pass.
  for (let retry = 0; answer.status >= 500 && retry < 3; retry++) answer = await mint(world, thing.uid)
  expectStatus(answer, 201)
  return { ...thing, username: usernameIn(answer) ?? '' }
}

/** An operation of ours that upstream fails once, so that its job has to carry it on. */
async function spoilt(operation: Operation, when: 'before' | 'after', ask: () => Promise<Answer>): Promise<void> {
  await emulator.fault({ operation, fault: { kind: 'status', status: 502, when } })
  const { status } = await ask()
  if (status < 500) throw new Error(`${operation} was to fail, not to be answered ${status}`)
}

const runs = async ({ id }: World): Promise<undefined> => {
  await runJobs(id)
}

const create = ({ broker, id, token }: World, name: string) =>
  broker.call('POST', keysPath(id), token, { name }, { 'idempotency-key': name })
const anIssuingKey = async (world: World, name: string) => issued(world, await aKey(world, name))
const aCredential = async (world: World, name: string) => issued(world, await sharedKey(world, name))
const rename = ({ broker, id, token }: World, uid: string, name: string) =>
  broker.call('PUT', keysPath(id, uid), token, { name })
const remove = ({ broker, id, token }: World, uid: string) => broker.call('DELETE', keysPath(id, uid), token)
const revoke = ({ broker, token }: World, { uid, username }: Thing) =>
  broker.call('POST', `/v1/turn/keys/${uid}/credentials/${encodeURIComponent(username)}/revoke`, token)
const lookUp = ({ broker, id, token }: World, uid: string) => broker.call('GET', keysPath(id, uid), token)

const rotate = ({ broker, id, token }: World, { uid, name }: Thing) =>
  broker.call('POST', rotatePath(id, uid), token, {}, { 'idempotency-key': name })

/** Made by hand, beside the broker. */
async function aForeignKey({ secrets }: World, name: string): Promise<Thing> {
  const { uid, key } = await emulator.plantKey({ account: env.CLOUDFLARE_ACCOUNT_ID, name: `by hand ${name}` })
  secrets.set(uid, key)
  return { name, uid, username: '' }
}
const importKey = ({ broker, id, secrets }: World, { uid, name }: Thing) =>
  broker.admin('POST', `/tenants/${id}/turn-keys/import`, { uid, key: secrets.get(uid), name })

const keysNamed = (after: Aftermath, name: string) => liveOf(after).filter((key) => key.name.endsWith(` ${name}`))
const isLive = (after: Aftermath, uid: string) => liveOf(after).some((key) => key.uid === uid)
const told = (wrong: boolean, what: string): string[] => (wrong ? [what] : [])
const uidIn = (answer: Answer | undefined) => (answer?.status === 201 ? String(answer.json.result.uid) : undefined)

const checkCreation: Wish['check'] = ({ name }, answer, after, again) => {
  const keys = keysNamed(after, name)
  const first = uidIn(answer)
  const second = uidIn(again)
  return [
    ...told(keys.length > 1, `${keys.length} usable keys for one wish`),
    ...told(first !== undefined && keys[0]?.uid !== first, 'the key that was answered is not there'),
    ...told(first !== undefined && second !== first, 'the repeat was given no or another key'),
    ...told(second !== undefined && keys[0]?.uid !== second, 'the key that the repeat was given is not there'),
    ...told(second === undefined && keys.length > 0, 'there is a key, and the repeat was told that there is none'),
    ...told(
      second === undefined && again !== undefined && again.headers.get('x-should-retry') !== 'false',
      `the repeat was given no final answer: ${again?.text}`,
    ),
  ]
}
const checkRemoval: Wish['check'] = ({ uid }, answer, after) => {
  const row = after.rows.find((each) => each.uid === uid)
  return [
    ...told(answer?.status === 200 && isLive(after, uid), 'answered as deleted, and there'),
    ...told(row?.state === 'deleted' && row.sealed !== null, 'deleted, and its secret kept'),
  ]
}
const checkName: Wish['check'] = ({ uid }, answer, after) => {
  const row = after.rows.find((each) => each.uid === uid)
  const key = after.upstream.keys.find((each) => each.uid === uid)
  return [
    ...told(row?.state === 'active' && !key?.name.endsWith(` ${row.name}`), 'two names for one key'),
    ...told(answer?.status === 200 && !String(row?.name).endsWith('x'), 'the answered name is not there'),
  ]
}
const checkRevocation: Wish['check'] = ({ username }, answer, after) => {
  const known = after.upstream.credentials.find((each) => each.username === username)
  return told(answer?.status === 204 && known?.revoked !== true, 'answered as revoked, and usable')
}
const checkRotation: Wish['check'] = ({ name, uid }, answer, after, again) => {
  const keys = keysNamed(after, name)
  const made = [answer, again].map((it) => (it?.status === 201 ? String(it.json.key.uid) : undefined))
  const wrong = made.filter((it) => it !== undefined && it !== keys[0]?.uid)
  return [
    ...told(keys.length !== 1, `${keys.length} usable keys after a rotation`),
    ...told(wrong.length > 0, 'the key that was answered is not there'),
    ...told(made.every((it) => it === undefined) && keys[0]?.uid !== uid, 'rotated, and nobody was told the new key'),
  ]
}
const checkImport: Wish['check'] = ({ uid }, _answer, after, again) => {
  const row = after.rows.find((each) => each.uid === uid)
  return [
    ...told(!isLive(after, uid), 'a key that was made by hand was deleted'),
    ...told(again !== undefined && again.status < 300 && row?.state !== 'active', 'imported, and not active'),
  ]
}

/** A creation that upstream carried out and whose answer was lost; its job is due. */
async function aLostCreation(world: World, name: string): Promise<Thing> {
  await spoilt('create', 'after', () => create(world, name))
  passTime(1.1 * MINUTE_MS)
  return nothing(world, name)
}

export const WISHES = {
  'a creation': {
    operation: 'create',
    route: 'turnKeyCreate',
    prepare: nothing,
    act: (world, { name }) => create(world, name),
    again: (world, { name }) => create(world, name),
    check: checkCreation,
  },
  'a look-up': {
    operation: 'get',
    route: 'turnKeyGet',
    prepare: async (world, name) => {
      const thing = await sharedKey(world, name)
      passTime(1.1 * HOUR_MS)
      return thing
    },
    act: (world, { uid }) => lookUp(world, uid),
    again: (world, { uid }) => {
      passTime(1.1 * HOUR_MS)
      return lookUp(world, uid)
    },
    againOnce: true,
    check: (_thing, _answer, _after, again) => told(again?.status !== 200, `no longer found: ${again?.text}`),
  },
  'a rename': {
    operation: 'update',
    route: 'turnKeyUpdate',
    asksAgain: 'by its job',
    prepare: aKey,
    act: (world, { uid, name }) => rename(world, uid, `${name}x`),
    check: checkName,
  },
  'a deletion': {
    operation: 'delete',
    route: 'turnKeyDelete',
    asksAgain: 'by its job',
    prepare: aKey,
    act: (world, { uid }) => remove(world, uid),
    check: checkRemoval,
  },
  'a deletion with something to revoke': {
    operation: 'revoke',
    route: 'turnKeyDelete',
    kindsOnly: true,
    prepare: anIssuingKey,
    act: (world, { uid }) => remove(world, uid),
    check: (...all) => [...checkRemoval(...all), ...checkRevocation(...all)],
  },
  'a mint': {
    operation: 'generate-ice-servers',
    route: 'credentialGenerateIceServers',
    asksAgain: 'in the call',
    prepare: sharedKey,
    act: (world, { uid }) => mint(world, uid),
    check: (_thing, answer, after) =>
      told(
        answer?.status === 201 && !after.issued.some(({ username }) => username === usernameIn(answer)),
        'handed out and not in the ledger',
      ),
  },
  'a revocation': {
    operation: 'revoke',
    route: 'credentialRevoke',
    prepare: aCredential,
    act: revoke,
    check: checkRevocation,
  },
  'the search for a lost creation': {
    operation: 'list',
    route: null,
    prepare: aLostCreation,
    act: runs,
    again: (world, { name }) => create(world, name),
    check: checkCreation,
  },
  'the undoing of a lost creation': {
    operation: 'delete',
    route: null,
    kindsOnly: true,
    prepare: aLostCreation,
    act: runs,
    again: (world, { name }) => create(world, name),
    check: checkCreation,
  },
  'a deletion carried on': {
    operation: 'delete',
    route: null,
    kindsOnly: true,
    prepare: async (world, name) => {
      const thing = await aKey(world, name)
      await spoilt('delete', 'before', () => remove(world, thing.uid))
      passTime(MINUTE_MS)
      return thing
    },
    act: runs,
    check: (thing, _answer, after) => told(isLive(after, thing.uid), 'ordered to go, and there'),
  },
  'a rename carried on': {
    operation: 'update',
    route: null,
    kindsOnly: true,
    prepare: async (world, name) => {
      const thing = await aKey(world, name)
      await spoilt('update', 'before', () => rename(world, thing.uid, `${name}x`))
      passTime(MINUTE_MS)
      return thing
    },
    act: runs,
    check: checkName,
  },
  'a revocation carried on': {
    operation: 'revoke',
    route: null,
    kindsOnly: true,
    prepare: async (world, name) => {
      const thing = await aCredential(world, name)
      const path = `/v1/tenants/${world.id}/revocations`
      expectStatus(await world.broker.call('POST', path, world.token, { keyId: thing.uid }), 202)
      return thing
    },
    act: runs,
    check: ({ username }, _answer, after) =>
      told(
        after.upstream.credentials.find((each) => each.username === username)?.revoked !== true,
        'ordered to be revoked, and usable',
      ),
  },
  'a rotation': {
    operation: 'create',
    route: 'turnKeyRotate',
    kindsOnly: true,
    prepare: aKey,
    act: rotate,
    again: rotate,
    check: checkRotation,
  },
  'the proof of a new key': {
    operation: 'generate-ice-servers',
    route: 'turnKeyRotate',
    kindsOnly: true,
    prepare: aKey,
    act: rotate,
    again: rotate,
    check: checkRotation,
  },
  'an import': {
    operation: 'get',
    route: 'turnKeyImport',
    kindsOnly: true,
    prepare: aForeignKey,
    act: importKey,
    again: importKey,
    check: checkImport,
  },
  'the proof of an imported key': {
    operation: 'generate-ice-servers',
    route: 'turnKeyImport',
    kindsOnly: true,
    prepare: aForeignKey,
    act: importKey,
    again: importKey,
    check: checkImport,
  },
} as const satisfies Record<string, Wish>

export type WishName = keyof typeof WISHES
