// What the terminal shows of what wrangler and the Worker print: one short line a request, or none. Each request is printed twice,
// first by the Worker (JSON, with the error code), then by wrangler (with the path). Any other line, an error first of all, stays.
import { stripVTControlCharacters } from 'node:util'

/** `[wrangler:info] GET /v1/tenants/demo 200 OK (41ms)`. */
const OF_WRANGLER = /^\[wrangler:info\] ([A-Z]+) (\S+) (\d{3})\b.* \((\d+)ms\)$/
const OF_WORKER = /\{"level":".*\}$/
/** Empty lines, and what workerd itself marks as no error. */
const NOISE = /^\s*$|\bNOSENTRY\b/
const LONG_HEX = /\b([0-9a-f]{8})[0-9a-f]{24,}\b/g
/** Of requests whose caller hung up wrangler prints no line. */
const MOST_WAITING = 20

interface Logged {
  method: unknown
  status: unknown
  code: unknown
}

/** Answers, line by line in their order, what is to be shown; null: nothing. */
export function requestLines({ quiet = false } = {}): (line: string) => string | null {
  const waiting: Logged[] = []

  function codeOf(method: string, status: string): string {
    const at = waiting.findIndex((each) => each.method === method && String(each.status) === status)
    const [found] = at < 0 ? [] : waiting.splice(at, 1)
    return typeof found?.code === 'string' ? ` ${found.code}` : ''
  }

  return (line) => {
    const plain = stripVTControlCharacters(line)
    if (NOISE.test(plain)) return null
    const [, method = '', path = '', status = '', ms = ''] = OF_WRANGLER.exec(plain) ?? []
    if (method !== '') {
      const code = codeOf(method, status)
      return quiet ? null : `${status} ${method} ${path.replace(LONG_HEX, '$1…')} ${ms} ms${code}`
    }
    const logged = jsonOf(plain)
    if (logged === null) return line
    if (logged.event !== 'request') return inWords(logged)
    waiting.push({ method: logged.method, status: logged.status, code: logged.code })
    if (waiting.length > MOST_WAITING) waiting.shift()
    return null
  }
}

function jsonOf(line: string): Record<string, unknown> | null {
  const [json] = OF_WORKER.exec(line) ?? []
  if (json === undefined) return null
  try {
    return { ...JSON.parse(json) }
  } catch {
    return null
  }
}

/** An event that is no request, in one line: `error job_failed tenant=demo job=revoke attempt=2`. */
function inWords({ level, event, ...fields }: Record<string, unknown>): string {
  const named = Object.entries(fields).map(([name, value]) => ` ${name}=${String(value)}`)
  return `${String(level)} ${String(event)}${named.join('')}`
}
