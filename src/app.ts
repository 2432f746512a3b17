/** The table of contents: what surrounds a request, then the doors. Which routes there are is contract/routes.ts. */
import { Hono } from 'hono'
import { accountDoor } from './http/account.ts'
import { apiTokenDoor } from './http/apiTokens.ts'
import { auditDoor } from './http/auditEvents.ts'
import { clientScriptDoor } from './http/client.ts'
import { clientTokenDoor } from './http/clientTokens.ts'
import type { App, AppEnv } from './http/context.ts'
import { credentialDoor } from './http/credentials.ts'
import { credentialTwins } from './http/credentialTwins.ts'
import { Edge } from './http/edge.ts'
import { renderError, renderMissing } from './http/errors.ts'
import { frame, requireConfig, requireHttps } from './http/frame.ts'
import { healthDoor } from './http/health.ts'
import { iceServersDoor } from './http/iceServers.ts'
import { revocationDoor } from './http/revocations.ts'
import { tenantDoor } from './http/tenants.ts'
import { turnKeyChangesDoor } from './http/turnKeyChanges.ts'
import { turnKeyDoor } from './http/turnKeys.ts'

export function createApp(): App {
  const app = new Hono<AppEnv>()
  app.use(frame(new Edge()))
  app.use(requireHttps)
  healthDoor(app)
  clientScriptDoor(app)

  app.use(requireConfig)
  iceServersDoor(app)
  credentialTwins(app)
  turnKeyDoor(app)
  turnKeyChangesDoor(app)
  clientTokenDoor(app)
  credentialDoor(app)
  revocationDoor(app)
  auditDoor(app)
  tenantDoor(app)
  apiTokenDoor(app)
  accountDoor(app)

  app.onError(renderError)
  app.notFound(renderMissing)
  return app
}
