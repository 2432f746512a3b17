/**
 * The environment crosses its schema here, once, and is a Config from then on.
 * A missing or malformed value is reported by the variable's name; its value is never repeated.
 */
import * as z from 'zod'
import { isLoopbackHost } from './contract/hosts.ts'
import { parseRootKeys, type RootKeys } from './crypto/rootKeys.ts'

export interface Config {
  /** The account's API token with *Calls Write*. */
  readonly callsApiToken: string
  /** Bearer of the admin door; absent: nobody enters with a token. */
  readonly adminToken: string | undefined
  /** The only host on which the admin identity counts; absent: any. */
  readonly adminHost: string | undefined
  readonly rootKeys: RootKeys
  /** Name of this installation, in every marker. */
  readonly deployment: string
  readonly accountId: string
  readonly apiUrl: string
  readonly rtcUrl: string
  readonly stunUrls: readonly string[]
}

export type ParsedConfig =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly variable: string }

const MIN_ADMIN_TOKEN_CHARACTERS = 32

const Bearer = z.string().regex(/^[\x21-\x7e]{16,512}$/)

const upstreamUrl = (fallback: string) =>
  z
    .string()
    .default(fallback)
    .refine((text) => isUpstreamUrl(text))

/** A binding is known by what can be done with it: one of another kind under its name is as good as none. */
const binding = <T extends object>(method: keyof T & string) =>
  z.custom<T>(
    (value) => typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function',
  )

const Environment = z.object({
  CALLS_API_TOKEN: Bearer,
  // What no `Authorization` header can carry (RFC 6750 §2.1) would be a door that never opens.
  ADMIN_TOKEN: Bearer.regex(/^[A-Za-z0-9\-._~+/]+=*$/)
    .refine((token) => token.length >= MIN_ADMIN_TOKEN_CHARACTERS)
    .optional(),
  ADMIN_HOST: z
    .string()
    .regex(/^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$/)
    .optional(),
  ROOT_KEYS: z.string().transform((text, ctx) => {
    const keys = parseRootKeys(text)
    if (keys) return keys
    ctx.addIssue({ code: 'custom', message: 'malformed' })
    return z.NEVER
  }),
  DEPLOYMENT: z.string().regex(/^[a-z0-9]{4,16}$/),
  CLOUDFLARE_ACCOUNT_ID: z.string().regex(/^[A-Za-z0-9]{1,32}$/),
  CLOUDFLARE_API_URL: upstreamUrl('https://api.cloudflare.com/client/v4'),
  CLOUDFLARE_RTC_URL: upstreamUrl('https://rtc.live.cloudflare.com/v1'),
  STUN_URLS: z
    .string()
    .default('stun:stun.cloudflare.com:3478')
    .transform((text) => text.split(',').map((url) => url.trim()))
    .refine((urls) => urls.every((url) => /^stun:[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$/.test(url))),
  CACHE: binding<KVNamespace>('get'),
  TENANTS: binding<DurableObjectNamespace>('idFromName'),
  ACCOUNT: binding<DurableObjectNamespace>('idFromName'),
  RATE_IP: binding<RateLimit>('limit'),
  RATE_TENANT: binding<RateLimit>('limit'),
  RATE_SUBJECT: binding<RateLimit>('limit'),
})

/** One parse per environment object: in a deployed Worker, one per isolate. */
const parsed = new WeakMap<object, ParsedConfig>()

export function parseConfig(env: object): ParsedConfig {
  const known = parsed.get(env)
  if (known) return known
  const config = parse(env)
  parsed.set(env, config)
  return config
}

function parse(env: object): ParsedConfig {
  // Bindings of the runtime may be getters: read each by its name instead of spreading the object.
  const values = Object.fromEntries(
    Object.keys(Environment.shape).map((name) => [name, (env as Record<string, unknown>)[name]]), // read only as unknown
  )
  const result = Environment.safeParse(values)
  if (!result.success) return { ok: false, variable: String(result.error.issues[0]?.path[0] ?? 'environment') }
  const it = result.data
  return {
    ok: true,
    config: {
      callsApiToken: it.CALLS_API_TOKEN,
      adminToken: it.ADMIN_TOKEN,
      adminHost: it.ADMIN_HOST,
      rootKeys: it.ROOT_KEYS,
      deployment: it.DEPLOYMENT,
      accountId: it.CLOUDFLARE_ACCOUNT_ID,
      apiUrl: it.CLOUDFLARE_API_URL,
      rtcUrl: it.CLOUDFLARE_RTC_URL,
      stunUrls: it.STUN_URLS,
    },
  }
}

/** https anywhere, http on loopback only; no credentials, query, fragment or trailing slash. */
function isUpstreamUrl(text: string): boolean {
  if (!URL.canParse(text) || text.endsWith('/')) return false
  const url = new URL(text)
  if (url.username || url.password || url.search || url.hash) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}
