/** The table of contents: what surrounds a request, then the doors. Which routes there are is contract/routes.ts. */
import { Hono } from 'hono'
import type { App, AppEnv } from './http/context.ts'
import { renderError, renderMissing } from './http/errors.ts'
import { frame, requireConfig, requireHttps } from './http/frame.ts'
import { Edge } from './http/isolateCache.ts'
import { accountDoor } from './http/routes/account.ts'
import { apiTokenDoor } from './http/routes/apiTokens.ts'
import { auditDoor } from './http/routes/auditEvents.ts'
import { iceServersDoor } from './http/routes/browser/iceServers.ts'
import { clientScriptDoor } from './http/routes/browser/library.ts'
import { clientTokenDoor } from './http/routes/clientTokens.ts'
import { credentialTwins } from './http/routes/cloudflare/credentials.ts'
import { turnKeyDoor } from './http/routes/cloudflare/turnKeys.ts'
import { credentialDoor } from './http/routes/credentials.ts'
import { healthDoor } from './http/routes/health.ts'
import { resealDoor } from './http/routes/reseal.ts'
import { revocationDoor } from './http/routes/revocations.ts'
import { tenantDoor } from './http/routes/tenants.ts'
import { turnKeyChangesDoor } from './http/routes/turnKeys.ts'
import { turnRestDoor } from './http/routes/turnRest.ts'

export function createApp(): App {
  const app = new Hono<AppEnv>()
  app.use(frame(new Edge()))
  app.use(requireHttps)
  healthDoor(app)
  clientScriptDoor(app)

  app.use(requireConfig)
  iceServersDoor(app)
  credentialTwins(app)
  turnRestDoor(app)
  turnKeyDoor(app)
  turnKeyChangesDoor(app)
  clientTokenDoor(app)
  credentialDoor(app)
  revocationDoor(app)
  auditDoor(app)
  tenantDoor(app)
  apiTokenDoor(app)
  accountDoor(app)
  resealDoor(app)

  app.onError(renderError)
  app.notFound(renderMissing)
  return app
}
