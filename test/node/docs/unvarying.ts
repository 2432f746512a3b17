// Answers as documents show them, and as they come: a value that differs from run to run is replaced by its form. No assertions here.
import { turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'

/** What differs from run to run, by its form; all else must be as the README says. */
export function unvarying(value: unknown, name = ''): unknown {
  if (Array.isArray(value))
    return name === 'urls' || name === 'uris' ? relaysOf(value) : value.map((it) => unvarying(it))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, unvarying(inner, key)]))
  }
  // Seconds that are left: a few of them pass on the way.
  if (typeof value === 'number' && /^(?:ttl|refreshAfter)$/.test(name)) return Math.ceil(value / 10) * 10
  if (typeof value !== 'string') return value
  if (/^(?:username|credential|password)$/.test(name) && value.length > 8) return `(${name})`
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return '(time)'
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)) return '(request id)'
  if (/^[\w-]{32}$/.test(value)) return '(uid)'
  if (/^[0-9A-Za-z]{12}$/.test(value)) return '(token id)'
  if (/^eyJ[\w-]+(?:…|(?:\.[\w-]+){2})$/.test(value)) return '(client token)'
  return value.replace(/^tb_acme_[0-9A-Za-z]{12}_.+$/, '(token)').replace(/^(su|rv)_[0-9A-Za-z]{22}$/, '($1)')
}

/** Where coturn runs it is on this machine, on a port of its own, and without TLS; the README shows Cloudflare's URLs. */
function relaysOf(urls: string[]): string[] {
  if (!turnServerIsInstalled()) return urls
  return urls.filter((url) => !url.startsWith('turns:')).map((url) => url.replace(/:[\w.]+:\d+/, ':(host)'))
}
