// How the emulator's own tests speak to it: plain fetch, as Cloudflare's documents show the calls. No assertions here.

export const ACCOUNT = '023e105f4ecef8ad9ca31a8372d0c353'
export const TOKEN = 'account-token'
export const KEYS = `/client/v4/accounts/${ACCOUNT}/calls/turn_keys`
const DEADLINE_MS = 5_000

interface Login {
  urls: string | string[]
  username?: string
  credential?: string
}

interface Envelope {
  result: { uid: string; key: string; name: string } & { uid: string; name: string }[]
}

interface Ask {
  body?: unknown
  bearer?: string
}

export function credentials(uid: string, rest: string): string {
  return `/v1/turn/keys/${uid}/credentials/${rest}`
}

export function envelope(answer: { json: unknown }): Envelope {
  return answer.json as Envelope // a test that gets another shape fails on the next line
}

export function upstreamAt(url: string) {
  async function api(method: string, route: string, { body, bearer = TOKEN }: Ask = {}) {
    const response = await fetch(`${url}${route}`, {
      method,
      redirect: 'manual',
      headers: bearer === '' ? {} : { authorization: `Bearer ${bearer}` },
      signal: AbortSignal.timeout(DEADLINE_MS),
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await response.text()
    return { status: response.status, headers: response.headers, text, json: jsonOf(text) }
  }

  return {
    api,
    create: async (name = 'a') => envelope(await api('POST', KEYS, { body: { name } })).result,
    listed: async () => envelope(await api('GET', KEYS)).result.map(({ uid }) => uid),
    async mint(key: { uid: string; key: string }, body: unknown = { ttl: 60 }, operation = 'generate-ice-servers') {
      const answer = await api('POST', credentials(key.uid, operation), { body, bearer: key.key })
      // Array or object: the test knows which it asked for.
      const iceServers = (answer.json as { iceServers?: Login[] & Login } | null)?.iceServers
      return { ...answer, iceServers }
    },
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
