/** Makes client tokens by the thousand with the broker's own code and root keys: so none of their making is measured. */
import { signClientToken } from '../../src/auth/clientTokens.ts'
import { parseRootKeys } from '../../src/crypto/rootKeys.ts'

interface SignerEnv {
  readonly ROOT_KEYS: string
  readonly DEPLOYMENT: string
}

interface Order {
  readonly tenant: string
  /** The API token that they are made with. */
  readonly tokenId: string
  readonly subjects: readonly string[]
}

const LIFE_SECONDS = 3_600

let rootKeys: ReturnType<typeof parseRootKeys>

export default {
  async fetch(request: Request, env: SignerEnv): Promise<Response> {
    rootKeys ??= parseRootKeys(env.ROOT_KEYS)
    if (!rootKeys || request.method !== 'POST') return new Response(null, { status: 404 })
    const { tenant, tokenId, subjects } = await request.json<Order>()
    const issuer = { rootKeys, deployment: env.DEPLOYMENT, tenant }
    const life = { now: Date.now(), seconds: LIFE_SECONDS }
    const tokens: string[] = []
    for (const subject of subjects) {
      const claims = { tokenId, subject, origin: null, credentialTtl: null, keyId: null }
      tokens.push((await signClientToken(issuer, claims, life)).token)
    }
    return Response.json(tokens)
  },
}
