// The eight upstream operations by name, as faults, log and client speak of them. Nothing else.
import * as z from 'zod'

const KEY_OPERATIONS = ['list', 'create', 'get', 'update', 'delete'] as const
const CREDENTIAL_OPERATIONS = ['generate-ice-servers', 'generate', 'revoke'] as const

export const Operation = z.enum([...KEY_OPERATIONS, ...CREDENTIAL_OPERATIONS])
export type Operation = z.infer<typeof Operation>
export type KeyOperation = (typeof KEY_OPERATIONS)[number]
export type CredentialOperation = (typeof CREDENTIAL_OPERATIONS)[number]

export function isKeyOperation(operation: Operation): operation is KeyOperation {
  return KEY_OPERATIONS.some((name) => name === operation)
}
