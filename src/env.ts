/**
 * Parses the environment (variables, secrets, bindings) into a Config, once an isolate.
 * A missing or malformed variable is reported by its name. Must not repeat its value. The placeholders of wrangler.toml
 * count as malformed unless Cloudflare's API is an emulator on loopback.
 */
import * as z from 'zod/mini'
import { isLoopbackHost } from './contract/hosts.ts'
import { REGIONS } from './contract/resources/tenants.ts'
import { AccessRoles } from './contract/roles.ts'
import { parseStrictJson } from './contract/strictJson.ts'
import { parseRootKeys, type RootKeys } from './crypto/rootKeys.ts'

/** Cloudflare Access as a way into the admin door. */
export interface AccessConfig {
  /** `{team}.cloudflareaccess.com` */
  readonly teamDomain: string
  /** AUD tags of the Access applications that protect the admin door. */
  readonly audiences: readonly string[]
  readonly roles: AccessRoles
}

export interface Config {
  /** The account's API token with *Calls Write*. */
  readonly callsApiToken: string
  /** Bearer token of operators; absent: the admin routes refuse every token. */
  readonly adminToken: string | undefined
  /** Absent: the admin routes refuse every assertion of Cloudflare Access. */
  readonly access: AccessConfig | undefined
  /** The only host on which the admin door opens; absent: any host. */
  readonly adminHost: string | undefined
  readonly rootKeys: RootKeys
  /** Name of this installation. It is part of every marker. */
  readonly deployment: string
  readonly accountId: string
  /** Where the Account is created; absent: near its first caller. */
  readonly accountLocation: DurableObjectLocationHint | undefined
  readonly apiUrl: string
  readonly rtcUrl: string
  readonly stunUrls: readonly string[]
  /** Whether a mint may go through the connection of the Worker that asks for it. */
  readonly lendConnections: boolean
}

export type ParsedConfig =
  | { readonly ok: true; readonly config: Config }
  | { readonly ok: false; readonly variable: string }

const MIN_ADMIN_TOKEN_CHARACTERS = 32

const Bearer = z.string().check(z.regex(/^[\x21-\x7e]{16,512}$/))

const upstreamUrl = (fallback: string) =>
  z._default(z.string(), fallback).check(z.refine((text) => isUpstreamUrl(text)))

/** A binding is recognized by one of its methods. A binding of another kind under its name counts as missing. */
const binding = <T extends object>(method: keyof T & string) =>
  z.custom<T>(
    (value) => typeof value === 'object' && value !== null && typeof Reflect.get(value, method) === 'function',
  )

const Environment = z.object({
  CALLS_API_TOKEN: Bearer,
  // A token that no `Authorization: Bearer` header can carry (RFC 6750 §2.1) would never match.
  ADMIN_TOKEN: z.optional(
    Bearer.check(
      z.regex(/^[A-Za-z0-9\-._~+/]+=*$/),
      z.refine((token) => token.length >= MIN_ADMIN_TOKEN_CHARACTERS),
    ),
  ),
  ADMIN_HOST: z.optional(z.string().check(z.regex(/^[a-z0-9.-]{1,253}(:[0-9]{1,5})?$/))),
  ACCESS_TEAM_DOMAIN: z.optional(z.string().check(z.regex(/^[a-z0-9-]{1,63}\.cloudflareaccess\.com$/))),
  ACCESS_AUD: z.optional(
    z.pipe(
      z.string().check(z.regex(/^[A-Za-z0-9]{16,128}(, *[A-Za-z0-9]{16,128}){0,9}$/)),
      z.transform((text) => text.split(/, */)),
    ),
  ),
  ACCESS_ROLES: z.optional(
    z.pipe(
      z.pipe(
        z.string(),
        z.transform((text) => parseStrictJson(new TextEncoder().encode(text), { maxDepth: 4, ignoreBOM: true })),
      ),
      z.pipe(
        z.object({ json: AccessRoles }),
        z.transform(({ json }) => json),
      ),
    ),
  ),
  ROOT_KEYS: z.pipe(
    z.string(),
    z.transform((text, { issues }) => {
      const keys = parseRootKeys(text)
      if (keys) return keys
      issues.push({ code: 'custom', input: text, message: 'malformed' })
      return z.NEVER
    }),
  ),
  DEPLOYMENT: z.string().check(z.regex(/^[a-z0-9]{4,16}$/)),
  CLOUDFLARE_ACCOUNT_ID: z.string().check(z.regex(/^[A-Za-z0-9]{1,32}$/)),
  ACCOUNT_LOCATION: z.optional(z.enum(REGIONS)),
  CLOUDFLARE_API_URL: upstreamUrl('https://api.cloudflare.com/client/v4'),
  CLOUDFLARE_RTC_URL: upstreamUrl('https://rtc.live.cloudflare.com/v1'),
  STUN_URLS: z
    .pipe(
      z._default(z.string(), 'stun:stun.cloudflare.com:3478'),
      z.transform((text) => text.split(',').map((url) => url.trim())),
    )
    .check(z.refine((urls) => urls.every((url) => /^stun:[A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?$/.test(url)))),
  LEND_CONNECTIONS: z._default(z.enum(['on', 'off']), 'on'),
  CACHE: binding<KVNamespace>('get'),
  TENANTS: binding<DurableObjectNamespace>('idFromName'),
  ACCOUNT: binding<DurableObjectNamespace>('idFromName'),
  RATE_IP: binding<RateLimit>('limit'),
  RATE_SITE: binding<RateLimit>('limit'),
  RATE_TENANT: binding<RateLimit>('limit'),
  RATE_SUBJECT: binding<RateLimit>('limit'),
  RATE_UNPROVEN: binding<RateLimit>('limit'),
})

/** As in wrangler.toml. Two installations that both keep `local` would sweep each other's TURN keys. */
const PLACEHOLDERS = { DEPLOYMENT: /^local$/, CLOUDFLARE_ACCOUNT_ID: /^0+$/ }

const ACCESS = ['ACCESS_TEAM_DOMAIN', 'ACCESS_AUD', 'ACCESS_ROLES'] as const

const Configured = Environment.check(
  z.check(({ value: values, issues }) => {
    const missing = ACCESS.filter((name) => values[name] === undefined)
    if (missing.length === ACCESS.length) return
    for (const name of missing) issues.push({ code: 'custom', path: [name], input: values, message: 'missing' })
  }),
  z.check(({ value: values, issues }) => {
    const api = URL.parse(values.CLOUDFLARE_API_URL)
    if (!api || isLoopbackHost(api.hostname)) return
    for (const [name, placeholder] of Object.entries(PLACEHOLDERS)) {
      if (placeholder.test(values[name as keyof typeof PLACEHOLDERS])) {
        issues.push({ code: 'custom', path: [name], input: values, message: 'placeholder' })
      }
    }
  }),
)

/** The environment is parsed once per environment object: in a deployed Worker, once per isolate. */
const parsed = new WeakMap<object, ParsedConfig>()

export function parseConfig(env: object): ParsedConfig {
  const known = parsed.get(env)
  if (known) return known
  const config = parse(env)
  parsed.set(env, config)
  return config
}

function parse(env: object): ParsedConfig {
  // The bindings may be getters, so each is read by its name instead of spreading the object.
  const values = Object.fromEntries(
    Object.keys(Environment.shape).map((name) => [name, (env as Record<string, unknown>)[name]]), // read only as unknown
  )
  const result = Configured.safeParse(values)
  if (!result.success) return { ok: false, variable: String(result.error.issues[0]?.path[0] ?? 'environment') }
  const variables = result.data
  const { ACCESS_TEAM_DOMAIN: teamDomain, ACCESS_AUD: audiences, ACCESS_ROLES: roles } = variables
  return {
    ok: true,
    config: {
      callsApiToken: variables.CALLS_API_TOKEN,
      adminToken: variables.ADMIN_TOKEN,
      access: teamDomain && audiences && roles ? { teamDomain, audiences, roles } : undefined,
      adminHost: variables.ADMIN_HOST,
      rootKeys: variables.ROOT_KEYS,
      deployment: variables.DEPLOYMENT,
      accountId: variables.CLOUDFLARE_ACCOUNT_ID,
      accountLocation: variables.ACCOUNT_LOCATION,
      apiUrl: variables.CLOUDFLARE_API_URL,
      rtcUrl: variables.CLOUDFLARE_RTC_URL,
      stunUrls: variables.STUN_URLS,
      lendConnections: variables.LEND_CONNECTIONS === 'on',
    },
  }
}

/** https, or http on loopback. No credentials, query, fragment or trailing slash. */
function isUpstreamUrl(text: string): boolean {
  if (!URL.canParse(text) || text.endsWith('/')) return false
  const url = new URL(text)
  if (url.username || url.password || url.search || url.hash) return false
  return url.protocol === 'https:' || (url.protocol === 'http:' && isLoopbackHost(url.hostname))
}
