/** Cloudflare's own helper for Workers, as its README mounts it. Like naive it authenticates no caller and keeps no record. */
import { routePartyTracksRequest } from 'partytracks/server'

interface PartytracksEnv {
  readonly RTC_URL: string
  readonly KEY_UID: string
  readonly KEY_SECRET: string
}

export default {
  fetch: (request: Request, env: PartytracksEnv): Promise<Response> =>
    routePartyTracksRequest({
      appId: 'bench',
      token: 'bench',
      realtimeApiBaseUrl: env.RTC_URL,
      turnServerAppId: env.KEY_UID,
      turnServerAppToken: env.KEY_SECRET,
      turnServerCredentialTTL: 3_600,
      lockSessionToInitiator: false,
      request,
    }),
}
