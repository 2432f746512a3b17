// The five TURN key operations of the account API, as plain functions from a call to an answer. Owns Cloudflare's
// rules for keys; knows neither HTTP framework nor faults.
import * as z from 'zod'
import {
  type Answer,
  AUTHENTICATION_ERROR,
  BAD_REQUEST,
  failure,
  json,
  KEY_NOT_FOUND,
  NO_SUCH_ROUTE,
  success,
  TOO_MANY_KEYS,
} from '../http/answer.ts'
import type { TurnKey } from '../world/state.ts'
import type { Call, World } from '../world/world.ts'
import type { KeyOperation } from './operations.ts'

const MAX_ACCOUNT_ID_CHARACTERS = 32
const KeyBody = z.object({ name: z.string().optional() })

const ACTIONS: Record<KeyOperation, (world: World, call: Call) => Answer> = {
  list,
  create,
  get,
  update,
  delete: remove,
}

export function keyOperation(operation: KeyOperation, world: World, call: Call): Answer {
  if (call.bearer === null) return failure(401, AUTHENTICATION_ERROR, 'Authentication error')
  const accepted = world.settings.apiTokens ?? (world.apiToken === null ? null : [world.apiToken])
  if (accepted !== null && !accepted.includes(call.bearer)) {
    return failure(403, AUTHENTICATION_ERROR, 'Authentication error')
  }
  if (call.account.length > MAX_ACCOUNT_ID_CHARACTERS) {
    return failure(400, NO_SUCH_ROUTE, 'Could not route to this account: the identifier is invalid')
  }
  return ACTIONS[operation](world, call)
}

function list(world: World, call: Call): Answer {
  const edgeMs = world.nowMs() - world.settings.listLagMs
  const shown = world.state
    .keys()
    .filter((key) => key.account === call.account)
    .filter((key) => key.createdMs <= edgeMs && (key.deletedMs === null || key.deletedMs > edgeMs))
  return success(200, shown.map(metadata))
}

function create(world: World, call: Call): Answer {
  const body = KeyBody.safeParse(call.body)
  if (!body.success) return invalidBody()
  const { account } = call
  const live = world.state.keys().filter((key) => key.account === account && key.deletedMs === null)
  if (live.length >= world.settings.maxKeysPerAccount) {
    return failure(400, TOO_MANY_KEYS, 'The account has reached its maximum number of TURN keys')
  }
  const key = world.state.addKey({ account, name: body.data.name ?? '', nowMs: world.nowMs(), planted: false })
  const result = { ...metadata(key), key: key.key }
  return world.settings.createAnswer === 'bare' ? json(201, result) : success(201, result)
}

function get(world: World, call: Call): Answer {
  const key = world.state.key(call.uid)
  if (key === undefined || key.account !== call.account) return notFound()
  const edgeMs = world.nowMs() - world.settings.getAfterDeleteLagMs
  if (key.deletedMs !== null && key.deletedMs <= edgeMs) return notFound()
  return success(200, metadata(key))
}

function update(world: World, call: Call): Answer {
  const key = liveKey(world, call)
  if (key === null) return notFound()
  const body = KeyBody.safeParse(call.body)
  if (!body.success) return invalidBody()
  world.state.renameKey(key, body.data.name ?? key.name, world.nowMs())
  return success(200, metadata(key))
}

function remove(world: World, call: Call): Answer {
  const key = liveKey(world, call)
  if (key === null) return notFound()
  world.state.deleteKey(key, world.nowMs())
  return success(200, metadata(key))
}

function liveKey(world: World, call: Call): TurnKey | null {
  const key = world.state.key(call.uid)
  return key !== undefined && key.account === call.account && key.deletedMs === null ? key : null
}

/** What every answer but create's shows: never the secret. */
function metadata(key: TurnKey) {
  return {
    created: new Date(key.createdMs).toISOString(),
    modified: new Date(key.modifiedMs).toISOString(),
    name: key.name,
    uid: key.uid,
  }
}

function notFound(): Answer {
  return failure(404, KEY_NOT_FOUND, 'TURN key not found')
}

function invalidBody(): Answer {
  return failure(400, BAD_REQUEST, 'The request body must be a JSON object whose name, if given, is a string')
}
