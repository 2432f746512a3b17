/** Assembles the app: middleware, then the routes, in order. contract/routes.ts is the table of routes. */
import { HonoBase } from 'hono/hono-base'
import { TrieRouter } from 'hono/router/trie-router'
import type { App, AppEnv } from './http/context.ts'
import { renderError, renderMissing } from './http/errors.ts'
import { frame, requireConfig, requireHttps } from './http/frame.ts'
import { IsolateCache } from './http/isolateCache.ts'
import { accountRoutes } from './http/routes/account.ts'
import { apiTokenRoutes } from './http/routes/apiTokens.ts'
import { auditRoutes } from './http/routes/auditEvents.ts'
import { iceServersRoutes } from './http/routes/browser/iceServers.ts'
import { clientTokenRoutes } from './http/routes/clientTokens.ts'
import { cloudflareCredentialRoutes } from './http/routes/cloudflare/credentials.ts'
import { cloudflareTurnKeyRoutes } from './http/routes/cloudflare/turnKeys.ts'
import { credentialRoutes } from './http/routes/credentials.ts'
import { healthRoutes } from './http/routes/health.ts'
import { issuerRoutes } from './http/routes/issuers.ts'
import { resealRoutes } from './http/routes/reseal.ts'
import { revocationRoutes } from './http/routes/revocations.ts'
import { tenantRoutes } from './http/routes/tenants.ts'
import { tokenCheckRoutes } from './http/routes/tokenCheck.ts'
import { turnKeyRoutes } from './http/routes/turnKeys.ts'
import { turnRestRoutes } from './http/routes/turnRest/turnRest.ts'

export function createApp(): App {
  // Hono's own choice, once its other router has refused these paths: that one, and the one that chooses, stay out of the bundle.
  const app = new HonoBase<AppEnv>({ router: new TrieRouter() })
  app.use(frame(new IsolateCache()))
  app.use(requireHttps)
  healthRoutes(app)

  app.use(requireConfig)
  iceServersRoutes(app)
  cloudflareCredentialRoutes(app)
  turnRestRoutes(app)
  cloudflareTurnKeyRoutes(app)
  turnKeyRoutes(app)
  clientTokenRoutes(app)
  credentialRoutes(app)
  revocationRoutes(app)
  auditRoutes(app)
  tenantRoutes(app)
  issuerRoutes(app)
  apiTokenRoutes(app)
  accountRoutes(app)
  resealRoutes(app)
  tokenCheckRoutes(app)

  app.onError(renderError)
  app.notFound(renderMissing)
  return app
}
