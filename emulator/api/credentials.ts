// The three credential operations, as plain functions from a call to an answer. The bearer is the TURN key's own secret.
// A TURN server that runs beside the emulator learns here which logins are valid.

import * as z from 'zod'
import { type Answer, empty, json, text } from '../http/answer.ts'
import type { Call, World } from '../world/world.ts'
import { randomHex } from './hex.ts'
import { iceServersBody, type Login } from './iceServers.ts'
import type { CredentialOperation } from './operations.ts'

const MAX_TTL_SECONDS = 172_800
const MIN_TTL_SECONDS = 1
const OPAQUE_HEX_CHARACTERS = 96
const MS_PER_SECOND = 1_000

const GenerateBody = z.object({ ttl: z.int(), customIdentifier: z.string().optional() })

export function credentialOperation(operation: CredentialOperation, world: World, call: Call): Answer {
  const key = world.state.key(call.uid)
  if (key === undefined || key.deletedMs !== null || call.bearer !== key.key) return text(401, 'Unauthorized')
  return operation === 'revoke' ? revoke(world, call) : generate(operation, world, call)
}

function generate(operation: 'generate' | 'generate-ice-servers', world: World, call: Call): Answer {
  const body = GenerateBody.safeParse(call.body)
  if (!body.success) return text(400, 'ttl must be an integer and customIdentifier, if given, a string')
  const inRange = Math.min(Math.max(body.data.ttl, MIN_TTL_SECONDS), MAX_TTL_SECONDS)
  if (inRange !== body.data.ttl && world.settings.ttlOutOfRange === 'refuse') {
    return text(400, `ttl must be from ${MIN_TTL_SECONDS} to ${MAX_TTL_SECONDS}`)
  }
  const createdMs = world.nowMs()
  const expiresAtMs = createdMs + inRange * MS_PER_SECOND
  const login = newLogin()
  world.state.addCredential({
    uid: call.uid,
    ...login,
    ttlSeconds: inRange,
    createdMs,
    expiresAtMs,
    customIdentifier: body.data.customIdentifier ?? null,
    revokedMs: null,
  })
  world.admit({ ...login, expiresAtMs })
  return json(201, iceServersBody(operation, login, { settings: world.settings, own: world.turn }))
}

function revoke(world: World, call: Call): Answer {
  const credential = world.state.credential(call.username)
  if (credential === undefined || credential.uid !== call.uid) return text(404, 'Not Found')
  world.state.revokeCredential(credential, world.nowMs())
  world.turn?.dismiss(credential.username)
  return empty(204)
}

/** Of Cloudflare's form: hex, which can be pasted into a URL as it is. */
function newLogin(): Login {
  return { username: randomHex(OPAQUE_HEX_CHARACTERS), credential: randomHex(OPAQUE_HEX_CHARACTERS) }
}
