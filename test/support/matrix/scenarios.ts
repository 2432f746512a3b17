/** What callers and jobs ask of upstream, one kind of scenario for each way to reach an operation there. */
import { expectStatus } from '../broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../broker/clock.ts'
import {
  checkCreation,
  checkImport,
  checkMint,
  checkName,
  checkRemoval,
  checkRevocation,
  checkRotation,
  finding,
  isLive,
} from './scenarioChecks.ts'
import {
  aCredential,
  aCrowdedKey,
  aForeignKey,
  aKey,
  aLostCreation,
  anIssuingKey,
  create,
  importKey,
  lookUp,
  mint,
  nothing,
  remove,
  rename,
  revoke,
  rotate,
  runs,
  type Scenario,
  sharedKey,
  spoilt,
} from './scenarioSteps.ts'

export const SCENARIOS = {
  'a creation': {
    operation: 'create',
    route: 'turnKeyCreate',
    prepare: nothing,
    act: (world, { name }) => create(world, name),
    again: (world, { name }) => create(world, name),
    check: checkCreation,
  },
  'the proof of a created key': {
    operation: 'generate-ice-servers',
    route: 'turnKeyCreate',
    kindsOnly: true,
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
    check: (_thing, _answer, _after, again) => finding(again?.status !== 200, `no longer found: ${again?.text}`),
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
    check: checkMint,
  },
  'a mint over a lent connection': {
    operation: 'generate-ice-servers',
    route: 'credentialGenerateIceServers',
    asksAgain: 'in the call',
    lent: true,
    prepare: aCrowdedKey,
    act: (world, { uid }) => mint(world, uid),
    check: checkMint,
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
    check: (thing, _answer, after) => finding(isLive(after, thing.uid), 'ordered to go, and there'),
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
      finding(
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
} as const satisfies Record<string, Scenario>

export type ScenarioName = keyof typeof SCENARIOS
