/**
 * The entries in KV, and when they may be used. KV is a cache, never an authority. An entry of a tenant is used for 60 s after
 * the Tenant confirmed it, and only if its format and tenant match. Anything else is a cache miss.
 */
import * as z from 'zod/mini'
import { TenantIssuers } from '../contract/policy/issuers.ts'
import { Scope } from '../contract/scopes.ts'

export const FORMAT = 2
export const FRESH_MS = 60_000
/** Clocks of two machines may differ by this much. An entry confirmed further in the future is not fresh. */
const CLOCK_SKEW_MS = 5_000
/** `cacheTtl` of a KV read: how long Cloudflare's edge may serve the same value. 30 s is KV's minimum. */
const KV_CACHE_TTL_SECONDS = 30

const head = { v: z.literal(FORMAT), tenant: z.string(), version: z.int(), confirmedAt: z.int() }

/** Neither id can contain ':', so two entries never share a KV key. */
export const turnKeyEntryKey = (tenant: string, uid: string): string => `turn-key:${tenant}:${uid}`
export const snapshotKey = (tenant: string): string => `tenant:${tenant}`
/** One entry of the whole installation, which the Account writes. */
export const CHECK_KEYS_KEY = 'check-keys'

/** A TURN key's metadata. `key: null` is the tombstone of a deleted key. */
export const TurnKeyEntry = z.object({
  ...head,
  uid: z.string(),
  key: z.nullable(
    z.object({
      uid: z.string(),
      name: z.string(),
      created: z.string(),
      modified: z.string(),
      state: z.enum(['active', 'retiring', 'missing']),
    }),
  ),
})
export type TurnKeyEntry = z.infer<typeof TurnKeyEntry>

/** What the Worker needs to know about a tenant. Holds digests of tokens, never a token. */
export const TenantSnapshot = z.object({
  ...head,
  status: z.enum(['active', 'suspended', 'deleting']),
  tokens: z.array(
    z.object({
      id: z.string(),
      digests: z.array(z.object({ digest: z.string(), until: z.nullable(z.int()) })),
      scopes: z.array(Scope),
    }),
  ),
  allowedOrigins: z.array(z.string()),
  requireOrigin: z.boolean(),
  issuers: TenantIssuers,
})
export type TenantSnapshot = z.infer<typeof TenantSnapshot>

/** The sealed check keys of API tokens (crypto/checkKeys.ts), newest first. Of any age: they only change by replacement. */
export const CheckKeysEntry = z.object({
  v: z.literal(FORMAT),
  keys: z.array(z.object({ number: z.int(), signsFrom: z.int(), sealed: z.string(), version: z.int() })),
})
export type CheckKeysEntry = z.infer<typeof CheckKeysEntry>

/** The check keys in KV. `undefined` if absent, malformed or of another format, or if KV fails. */
export async function readCheckKeys(kv: KVNamespace): Promise<CheckKeysEntry['keys'] | undefined> {
  try {
    const entry = CheckKeysEntry.safeParse(
      await kv.get(CHECK_KEYS_KEY, { type: 'json', cacheTtl: KV_CACHE_TTL_SECONDS }),
    )
    return entry.success ? entry.data.keys : undefined
  } catch {
    return
  }
}

/** Entries by KV key, with the text that each was parsed from. */
export interface ParsedEntries<T> {
  get(key: string): { readonly text: string; readonly entry: T } | undefined
  set(key: string, parsed: { readonly text: string; readonly entry: T }): void
}

/**
 * The entry, of any age. `undefined` if absent, malformed, of another format or tenant, or if KV fails. KV is read each time; a
 * text that stands in `parsed` is not parsed again.
 */
export async function readEntry<T extends { tenant: string; confirmedAt: number }>(
  kv: KVNamespace,
  schema: z.ZodMiniType<T>,
  { key, tenant, parsed }: { readonly key: string; readonly tenant: string; readonly parsed?: ParsedEntries<T> },
): Promise<T | undefined> {
  try {
    const text = await kv.get(key, { type: 'text', cacheTtl: KV_CACHE_TTL_SECONDS })
    if (text === null) return
    const before = parsed?.get(key)
    if (before?.text === text) return before.entry
    const { data: entry } = schema.safeParse(JSON.parse(text))
    if (entry?.tenant !== tenant) return
    parsed?.set(key, { text, entry })
    return entry
  } catch {
    return
  }
}

/** Whether the Tenant confirmed the entry within the last 60 s. */
export function isFresh(entry: { readonly confirmedAt: number }, now: number): boolean {
  const age = now - entry.confirmedAt
  return age <= FRESH_MS && age >= -CLOCK_SKEW_MS
}
