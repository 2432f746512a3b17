/** Checks which parameters a request's query has. Their values are read and checked by the handlers. */
import type { Route } from '../contract/routes.ts'
import { malformed, shownName } from './body.ts'
import type { Ctx } from './context.ts'

/** Throws `invalid_request` for a parameter that the route does not have, unless it ignores such, and for a repeated one. */
export function checkQuery(c: Ctx, { query = [], unknownQuery = 'refused' }: Route): void {
  if (!c.req.url.includes('?')) return
  const seen = new Set<string>()
  for (const name of new URL(c.req.url).searchParams.keys()) {
    if (!query.includes(name)) {
      if (unknownQuery === 'ignored') continue
      throw malformed(`${shownName(name)}: is not a known query parameter of this route`)
    }
    if (seen.has(name)) throw malformed(`${name}: must not be given more than once`)
    seen.add(name)
  }
}
