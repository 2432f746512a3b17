// What upstream remembers: TURN keys and the credentials minted from them. Owns the maps and their snapshot; decides
// nothing about status codes. `onChange` is called after every change, so that a server may persist it.
import * as z from 'zod'
import { randomHex } from '../api/hex.ts'

const UID_HEX_CHARACTERS = 32
const SECRET_HEX_CHARACTERS = 64

const TurnKey = z.strictObject({
  account: z.string(),
  uid: z.string(),
  key: z.string(),
  name: z.string(),
  createdMs: z.number(),
  modifiedMs: z.number(),
  deletedMs: z.number().nullable(),
  /** Made through the control routes, not by the API. */
  planted: z.boolean(),
})
export type TurnKey = z.infer<typeof TurnKey>

const Credential = z.strictObject({
  uid: z.string(),
  username: z.string(),
  credential: z.string(),
  ttlSeconds: z.number(),
  createdMs: z.number(),
  expiresAtMs: z.number(),
  customIdentifier: z.string().nullable(),
  revokedMs: z.number().nullable(),
})
export type Credential = z.infer<typeof Credential>

export const Snapshot = z.strictObject({ keys: z.array(TurnKey), credentials: z.array(Credential) })
export type Snapshot = z.infer<typeof Snapshot>

export interface NewKey {
  account: string
  name: string
  nowMs: number
  planted: boolean
}

export class State {
  readonly #keys = new Map<string, TurnKey>()
  readonly #credentials = new Map<string, Credential>()
  readonly #onChange: () => void

  constructor(snapshot: Snapshot | undefined, onChange: () => void) {
    for (const key of snapshot?.keys ?? []) this.#keys.set(key.uid, key)
    for (const credential of snapshot?.credentials ?? []) this.#credentials.set(credential.username, credential)
    this.#onChange = onChange
  }

  keys(): TurnKey[] {
    return [...this.#keys.values()]
  }

  credentials(): Credential[] {
    return [...this.#credentials.values()]
  }

  /** Deleted keys are remembered: callers look at `deletedMs`. */
  key(uid: string): TurnKey | undefined {
    return this.#keys.get(uid)
  }

  credential(username: string): Credential | undefined {
    return this.#credentials.get(username)
  }

  addKey({ account, name, nowMs, planted }: NewKey): TurnKey {
    const key = {
      account,
      uid: randomHex(UID_HEX_CHARACTERS),
      key: randomHex(SECRET_HEX_CHARACTERS),
      name,
      createdMs: nowMs,
      modifiedMs: nowMs,
      deletedMs: null,
      planted,
    }
    this.#keys.set(key.uid, key)
    this.#onChange()
    return key
  }

  renameKey(key: TurnKey, name: string, nowMs: number): void {
    key.name = name
    key.modifiedMs = nowMs
    this.#onChange()
  }

  deleteKey(key: TurnKey, nowMs: number): void {
    key.deletedMs = nowMs
    this.#onChange()
  }

  addCredential(credential: Credential): void {
    this.#credentials.set(credential.username, credential)
    this.#onChange()
  }

  revokeCredential(credential: Credential, nowMs: number): void {
    credential.revokedMs ??= nowMs
    this.#onChange()
  }

  clear(): void {
    this.#keys.clear()
    this.#credentials.clear()
    this.#onChange()
  }

  /** Everything worth keeping over a restart: secrets included, expired credentials left out. */
  snapshot(nowMs: number): Snapshot {
    return { keys: this.keys(), credentials: this.credentials().filter((each) => each.expiresAtMs > nowMs) }
  }
}
