/** The browser library, as a script for every page: it holds no secret. Which version there is is clientScript.ts. */
import { BrokerError } from '../../../errors.ts'
import type { App, Ctx } from '../../context.ts'
import { mount } from '../../mount.ts'
import { CLIENT_SCRIPT } from './clientScript.ts'

const AN_HOUR = 'public, max-age=3600'
const FOR_GOOD = 'public, max-age=31536000, immutable'
const ETAG = `"${CLIENT_SCRIPT.integrity}"`

/** Mounted before the configuration is required: a page whose import fails cannot even say why. */
export function libraryRoutes(app: App): void {
  mount(app, 'clientScript', (c) => async () => script(c, AN_HOUR))

  mount(app, 'clientScriptVersion', (c) => async () => {
    c.header('Access-Control-Allow-Origin', '*')
    if (c.req.param('version') !== `${CLIENT_SCRIPT.version}.js`) throw new BrokerError('not_found')
    return script(c, FOR_GOOD)
  })
}

function script(c: Ctx, cacheControl: string): Response {
  c.header('Access-Control-Allow-Origin', '*')
  c.header('Cross-Origin-Resource-Policy', 'cross-origin')
  c.header('Cache-Control', cacheControl)
  c.header('ETag', ETAG)
  if (isKnown(c.req.header('If-None-Match'))) return c.body(null, 304)
  return c.body(CLIENT_SCRIPT.text, 200, { 'Content-Type': 'text/javascript; charset=utf-8' })
}

/** Compared weakly (RFC 9110 §13.1.2): a compressing proxy marks the tag as weak. */
const isKnown = (ifNoneMatch = ''): boolean =>
  ifNoneMatch.split(',').some((tag) => /^\s*\*\s*$/.test(tag) || tag.trim().replace(/^W\//, '') === ETAG)
