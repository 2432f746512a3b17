/**
 * What is kept in KV, and when it may be believed. KV is a cache, never an authority: an entry is used for 60 s
 * after the Tenant confirmed it, and only if it is of this format and this tenant. Anything else is a miss.
 */
import * as z from 'zod'
import { TenantIssuers } from '../contract/policy/issuers.ts'
import { Scope } from '../contract/scopes.ts'

export const FORMAT = 2
export const FRESH_MS = 60_000
/** Clocks of two machines may differ by this much; an entry from further ahead is not ours. */
const CLOCK_SKEW_MS = 5_000
/** How long KV's own edge cache may repeat an entry; its minimum. */
const KV_CACHE_TTL_SECONDS = 30

const head = { v: z.literal(FORMAT), tenant: z.string(), version: z.int(), confirmedAt: z.int() }

/** Ids are of fixed shape (no ':' in either), so that no two entries share a key. */
export const turnKeyEntryKey = (tenant: string, uid: string): string => `turn-key:${tenant}:${uid}`
export const snapshotKey = (tenant: string): string => `tenant:${tenant}`

/** A TURN key's metadata; `key: null` after its deletion. */
export const TurnKeyEntry = z.object({
  ...head,
  uid: z.string(),
  key: z
    .object({
      uid: z.string(),
      name: z.string(),
      created: z.string(),
      modified: z.string(),
      state: z.enum(['active', 'retiring', 'missing']),
    })
    .nullable(),
})
export type TurnKeyEntry = z.infer<typeof TurnKeyEntry>

/** What the edge must know of a tenant. Digests of tokens, never a token. */
export const TenantSnapshot = z.object({
  ...head,
  status: z.enum(['active', 'suspended', 'deleting']),
  tokens: z.array(
    z.object({
      id: z.string(),
      digests: z.array(z.object({ digest: z.string(), until: z.int().nullable() })),
      scopes: z.array(Scope),
    }),
  ),
  allowedOrigins: z.array(z.string()),
  requireOrigin: z.boolean(),
  issuers: TenantIssuers,
})
export type TenantSnapshot = z.infer<typeof TenantSnapshot>

/** The entry, however old, or `undefined`: absent, unreadable, of another format or tenant. KV failing is a miss. */
export async function readEntry<T extends { tenant: string; confirmedAt: number }>(
  kv: KVNamespace,
  schema: z.ZodType<T>,
  at: { readonly key: string; readonly tenant: string },
): Promise<T | undefined> {
  try {
    const value = await kv.get(at.key, { type: 'json', cacheTtl: KV_CACHE_TTL_SECONDS })
    const entry = schema.safeParse(value)
    return entry.success && entry.data.tenant === at.tenant ? entry.data : undefined
  } catch {
    return
  }
}

/** Whether the Tenant confirmed it within the last 60 s. */
export function isFresh(entry: { readonly confirmedAt: number }, now: number): boolean {
  const age = now - entry.confirmedAt
  return age <= FRESH_MS && age >= -CLOCK_SKEW_MS
}
