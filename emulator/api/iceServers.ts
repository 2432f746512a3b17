// The answer a browser gets: which URLs, in which of the shapes upstream uses or used. Pure; mints nothing.

import type { Settings } from '../world/settings.ts'
import type { CredentialOperation } from './operations.ts'

export interface UrlLists {
  stunUrls: string[]
  urls: string[]
}

interface IceServer {
  urls: string | string[]
  username?: string
  credential?: string
}

const COMMON_TCP_URLS = [
  'turn:turn.cloudflare.com:3478?transport=tcp',
  'turn:turn.cloudflare.com:80?transport=tcp',
  'turns:turn.cloudflare.com:5349?transport=tcp',
  'turns:turn.cloudflare.com:443?transport=tcp',
]

const URL_GENERATIONS: Record<Settings['urlGeneration'], UrlLists> = {
  newest: {
    stunUrls: ['stun:stun.cloudflare.com:3478'],
    urls: [
      'turn:turn.cloudflare.com:3478?transport=udp',
      'turn:turn.cloudflare.com:443?transport=udp',
      ...COMMON_TCP_URLS,
    ],
  },
  'port-53': {
    stunUrls: ['stun:stun.cloudflare.com:3478', 'stun:stun.cloudflare.com:53'],
    urls: [
      'turn:turn.cloudflare.com:3478?transport=udp',
      'turn:turn.cloudflare.com:53?transport=udp',
      ...COMMON_TCP_URLS,
    ],
  },
}

export interface Login {
  username: string
  credential: string
}

/** `own`: the URLs of a TURN server that really runs, in place of Cloudflare's. */
export function iceServersBody(
  operation: Exclude<CredentialOperation, 'revoke'>,
  login: Login,
  { settings, own }: { settings: Settings; own: UrlLists | null },
): { iceServers: IceServer | IceServer[] } {
  const { stunUrls, urls } = own ?? URL_GENERATIONS[settings.urlGeneration]
  const documentedForm = operation === 'generate' ? 'object' : 'array'
  const form = settings.iceServers === 'as-documented' ? documentedForm : settings.iceServers
  if (form === 'object') {
    const first = urls[0] ?? ''
    return { iceServers: { urls: settings.urls === 'string' ? first : [...stunUrls, ...urls], ...login } }
  }
  if (settings.urls === 'string') {
    const stun = stunUrls.map((url) => (settings.entries === 'joined' ? { urls: url, ...login } : { urls: url }))
    return { iceServers: [...stun, ...urls.map((url) => ({ urls: url, ...login }))] }
  }
  if (settings.entries === 'joined') return { iceServers: [{ urls: [...stunUrls, ...urls], ...login }] }
  return { iceServers: [{ urls: stunUrls }, { urls, ...login }] }
}
