/**
 * The web origins that a policy may list, and the match of a request's `Origin` header with them. Origins are compared as
 * text: `new URL().origin` is `"null"` for the schemes of app shells and extensions.
 */
import * as z from 'zod/mini'
import { isLocalNetworkHost } from '../hosts.ts'

const MAX_CHARACTERS = 255
const LABEL = /^[a-z0-9_-]{1,63}$/
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i
/** Firefox and Safari give each installation of an extension a random UUID as its host. */
const ANY_EXTENSION = /^(moz|safari-web)-extension:\/\/\*$/
const WILDCARD = /^https:\/\/\*\.([^*:]*)(:[^*]*)?$/

/**
 * Domains under which strangers have hosts: `name.domain` at hosting companies, hosts at any depth at others, one label, and
 * public suffixes of two labels. The list is short, because none is complete.
 */
const SHARED_DOMAIN = new RegExp(
  '^((amplifyapp|firebaseapp|herokuapp|onrender|trycloudflare)\\.com|(deno|fly|pages|r2|replit|workers)\\.dev|' +
    '(lovable|netlify|ondigitalocean|replit|vercel|web)\\.app|(github|gitlab)\\.io|(azurewebsites|cloudfront)\\.net|' +
    '(.*\\.)?((amazonaws|appspot|azure)\\.com|(ngrok-free|railway|run)\\.app|github\\.dev|(azurestaticapps|windows)\\.net)|' +
    '[^.]*|(ac|com?|edu|gov?|ltd|me|net?|org?|plc)\\.[a-z]{2})$',
)

const AS_SENT = 'must have host and port as browsers send them: no dot at the end, no leading zero'
/** What no browser sends, and what to write. The first that fits counts. */
const PROBLEMS: readonly (readonly [RegExp, string])[] = [
  [/[^!-~]/, 'must be ASCII: write an international host as xn--…'],
  [/[A-Z]/, 'must be in lower case'],
  [/^(?![a-z][a-z0-9+.-]*:\/\/)/, 'must be scheme://host or scheme://host:port'],
  [
    /^(about|blob|content|data|file|filesystem|ftp|javascript|view-source|wss?):/,
    'must be https, or the scheme of an app. Pages of file: send null',
  ],
  [/@/, 'must have no user name'],
  [/:\/\/.*[/?#]/, 'must have no path, not even /'],
  [/^(https:.*:443|http:.*:80)$/, 'must leave out the default port'],
  [/:\/\/(?!([a-z0-9._-]+|\[[0-9a-f:.]+\])(:\d{1,5})?$)/, 'must have one host of a-z, 0-9, ".", "-" and "_"'],
  [/^https?:\/\/(\.|.*\.(\.|:|$))/, AS_SENT],
]

/** One origin as a browser sends it, without a wildcard: what a client token is bound to. */
export const WebOrigin = originText((text) => problemOf(text))

/** One entry of `allowedOrigins`: a web origin, or a wildcard. */
export const OriginRule = originText((text) => (text.includes('*') ? wildcardProblemOf(text) : problemOf(text)))

/** What can be an `Origin` header of a page. No rule allows anything else, so that it needs no look-up. */
export const isOriginShaped = (text: string): boolean =>
  text.length <= MAX_CHARACTERS && /^(null|[a-z][a-z0-9+.-]*:\/\/[\w.:[\]-]+)$/.test(text)

/** Whether an `Origin` header meets one of the rules: as the same text, or by a `*` for one label or for a UUID. */
export const allowsOrigin = (rules: readonly string[], origin: string): boolean =>
  !origin.includes('*') && (rules.includes(origin) || rules.some((rule) => meetsWildcard(rule, origin)))

/** Whether the rule covers the hosts under a domain of two labels, such as `https://*.example.com`. */
export const isWide = (rule: string): boolean => /^https:\/\/\*\.[^.]+\.[^.]+$/.test(rule)

function meetsWildcard(rule: string, origin: string): boolean {
  const [start = '', end] = rule.split('*')
  if (end === undefined || !origin.startsWith(start) || !origin.endsWith(end)) return false
  return (end === '' ? UUID : LABEL).test(origin.slice(start.length, origin.length - end.length))
}

function originText(problem: (text: string) => string | undefined) {
  return z.string().check(
    z.maxLength(MAX_CHARACTERS),
    z.refine((text) => problem(text) === undefined, { error: ({ input }) => problem(String(input)) }),
  )
}

function problemOf(text: string): string | undefined {
  if (text === 'null') return
  const known = PROBLEMS.find(([pattern]) => pattern.test(text))
  if (known) return known[1]
  if (!/^https?:/.test(text)) return
  if (!URL.canParse(text) || new URL(text).origin !== text) return AS_SENT
  if (text.startsWith('http:') && !isLocalNetworkHost(new URL(text).hostname))
    return 'must be https, unless its host is loopback, *.localhost, *.local or a private address'
  return
}

function wildcardProblemOf(text: string): string | undefined {
  if (ANY_EXTENSION.test(text)) return
  const [, domain] = WILDCARD.exec(text) ?? []
  if (domain === undefined) return 'may have * only as in https://*.app.example.com or moz-extension://*'
  if (SHARED_DOMAIN.test(domain)) return 'must not have * under a domain where strangers have hosts: list the hosts'
  return problemOf(text.replace('*', 'x'))
}
