/** Roles of the operators who come through Cloudflare Access, and what `ACCESS_ROLES` may say. */
import * as z from 'zod/mini'

/** Each role includes the ones before it. */
export const ROLES = ['viewer', 'operator', 'owner'] as const
const Role = z.enum(ROLES)
export type Role = z.infer<typeof Role>

/** `none`: `ACCESS_ROLES` does not name the identity. */
export const includesRole = (role: Role | 'none', needed: Role): boolean =>
  role !== 'none' && ROLES.indexOf(role) >= ROLES.indexOf(needed)

/** ASCII only, so that no letter looks like another. Without a colon, so that no e-mail address reads like a service token's actor. */
export const Email = z.string().check(z.maxLength(254), z.regex(/^[\w.!#$%&'*+/=?^`{|}~-]+@[A-Za-z0-9.-]+$/))
/** Of a service token: its client id. */
export const CommonName = z.string().check(z.regex(/^[\x21-\x7e]{1,128}$/))
const Text = z.string().check(z.minLength(1), z.maxLength(255))

const Entry = z.union([
  z.strictObject({ email: Email, role: Role }),
  z.strictObject({ common_name: CommonName, role: Role }),
  z.strictObject({ custom: z.strictObject({ claim: Text, value: Text }), role: Role }),
])

const whoOf = ({ role: _, ...who }: z.infer<typeof Entry>): string => JSON.stringify(who)

/** Who has which role. Everything is compared as text, letter by letter. */
export const AccessRoles = z.array(Entry).check(
  z.minLength(1),
  z.maxLength(200),
  z.refine((list) => new Set(list.map(whoOf)).size === list.length, 'must not repeat an identity'),
)
export type AccessRoles = z.infer<typeof AccessRoles>
