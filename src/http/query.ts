/** Checks which parameters a request's query has. Their values are read and checked by the handlers. */
import type { Route } from '../contract/routes.ts'
import { malformed } from './body.ts'
import type { Ctx } from './context.ts'

const MAX_SHOWN_CHARACTERS = 64

/** Throws `invalid_request` for a parameter that the route does not have, unless it ignores such, and for a repeated one. */
export function checkQuery(c: Ctx, { query = [], unknownQuery = 'refused' }: Route): void {
  if (!c.req.url.includes('?')) return
  const seen = new Set<string>()
  for (const name of new URL(c.req.url).searchParams.keys()) {
    if (!query.includes(name)) {
      if (unknownQuery === 'ignored') continue
      throw malformed(`${JSON.stringify(name.slice(0, MAX_SHOWN_CHARACTERS))}: this route has no such query parameter`)
    }
    if (seen.has(name)) throw malformed(`${name}: must not be given more than once`)
    seen.add(name)
  }
}
