/** What teams write first: Cloudflare's answer with a secret of the environment. No authentication, no limit, no record. */
interface NaiveEnv {
  readonly RTC_URL: string
  readonly KEY_UID: string
  readonly KEY_SECRET: string
}

export default {
  async fetch(_request: Request, env: NaiveEnv): Promise<Response> {
    const upstream = await fetch(`${env.RTC_URL}/turn/keys/${env.KEY_UID}/credentials/generate-ice-servers`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${env.KEY_SECRET}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ ttl: 3_600 }),
    })
    if (!upstream.ok) return new Response('Cloudflare did not answer.', { status: 502 })
    const headers = { 'Access-Control-Allow-Origin': '*', 'Cache-Control': 'no-store' }
    return Response.json(await upstream.json(), { status: 201, headers })
  },
}
