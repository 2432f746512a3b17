/** Serves the browser library to any page; it holds no secret. clientScript.ts has the built version. */
import { BrokerError } from '../../../errors.ts'
import type { App, Ctx } from '../../context.ts'
import { mount } from '../../mount.ts'
import { CLIENT_SCRIPT } from './clientScript.ts'

const CACHE_ONE_HOUR = 'public, max-age=3600'
const CACHE_FOREVER = 'public, max-age=31536000, immutable'
const ETAG = `"${CLIENT_SCRIPT.integrity}"`

/** Mounted before `requireConfig`: a page whose import fails could not report the error. */
export function libraryRoutes(app: App): void {
  mount(app, 'clientScript', (c) => async () => script(c, CACHE_ONE_HOUR))

  mount(app, 'clientScriptVersion', (c) => async () => {
    c.header('Access-Control-Allow-Origin', '*')
    if (c.req.param('version') !== `${CLIENT_SCRIPT.version}.js`) throw new BrokerError('not_found')
    return script(c, CACHE_FOREVER)
  })
}

function script(c: Ctx, cacheControl: string): Response {
  c.header('Access-Control-Allow-Origin', '*')
  c.header('Cross-Origin-Resource-Policy', 'cross-origin')
  c.header('Cache-Control', cacheControl)
  c.header('ETag', ETAG)
  if (matchesEtag(c.req.header('If-None-Match'))) return c.body(null, 304)
  return c.body(CLIENT_SCRIPT.text, 200, { 'Content-Type': 'text/javascript; charset=utf-8' })
}

/** Weak comparison (RFC 9110 §13.1.2), because a compressing proxy makes the tag weak. */
const matchesEtag = (ifNoneMatch = ''): boolean =>
  ifNoneMatch.split(',').some((tag) => /^\s*\*\s*$/.test(tag) || tag.trim().replace(/^W\//, '') === ETAG)
