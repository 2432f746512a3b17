/** Serves the browser library, the static asset client.js, to any page; it holds no secret. clientScript.ts has its version. */
import { BrokerError } from '../../../errors.ts'
import type { App, Ctx } from '../../context.ts'
import { mount } from '../../mount.ts'
import { CLIENT_SCRIPT } from './clientScript.ts'

const CACHE_ONE_HOUR = 'public, max-age=3600'
const CACHE_FOREVER = 'public, max-age=31536000, immutable'
/** The host is never asked: the binding goes by the path. */
const ASSET = 'https://assets.invalid/client.js'
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

async function script(c: Ctx, cacheControl: string): Promise<Response> {
  const known = matchesEtag(c.req.header('If-None-Match'))
  const text = known ? null : await libraryText(c.env.ASSETS)
  c.header('Access-Control-Allow-Origin', '*')
  c.header('Cross-Origin-Resource-Policy', 'cross-origin')
  c.header('Cache-Control', cacheControl)
  c.header('ETag', ETAG)
  if (text === null) return c.body(null, 304)
  return c.body(text, 200, { 'Content-Type': 'text/javascript; charset=utf-8' })
}

/** Throws, and so answers `internal`, if the asset was not deployed along. */
async function libraryText(assets: Fetcher): Promise<string> {
  const asset = await assets.fetch(ASSET)
  if (asset.status !== 200) throw new Error('client.js is not among the static assets')
  return asset.text()
}

/** Weak comparison (RFC 9110 §13.1.2), because a compressing proxy makes the tag weak. */
const matchesEtag = (ifNoneMatch = ''): boolean =>
  ifNoneMatch.split(',').some((tag) => /^\s*\*\s*$/.test(tag) || tag.trim().replace(/^W\//, '') === ETAG)
