// What the JavaScript of the documents finds around it: a page's fetch, a connection; and how it is run.
import { expect } from 'vitest'
import type { IceServersAnswer } from '../../../src/contract/resources/credentials.ts'
import { fencesOf, textOf } from './repository.ts'

/** As a page of the policy's origin asks: refuses what would need a preflight, and hides what CORS does not allow. */
export const fetchOfPage =
  (brokerUrl: string) =>
  async (url: string, init: RequestInit): Promise<Response> => {
    const { method, headers } = new Request(url, init)
    expect([method, ...headers]).toEqual([
      'POST',
      ['content-type', expect.stringMatching(/^(application\/x-www-form-url|text\/plain)/)],
    ])
    const origin = 'https://app.example.com'
    const response = await fetch(brokerUrl + new URL(url).pathname, { ...init, headers: { origin } })
    expect(response.headers.get('access-control-allow-origin')).toBe(origin)
    return response
  }

/** Runs a document's JavaScript with what it takes from around it. */
export function evaluate(code: string, given: Record<string, unknown>): Promise<unknown> {
  const AsyncFunction = (async () => undefined).constructor as new (
    ...source: string[]
  ) => (...args: unknown[]) => Promise<unknown> // as the language has it
  return new AsyncFunction(...Object.keys(given), code)(...Object.values(given))
}

/** As much of a connection as the documents use. */
export class FakePeer {
  configuration: IceServersAnswer
  connectionState = 'connected'
  restarts = 0
  constructor(configuration: IceServersAnswer) {
    this.configuration = configuration
  }
  getConfiguration(): IceServersAnswer {
    return this.configuration
  }
  setConfiguration(configuration: IceServersAnswer): void {
    if (this.connectionState === 'closed') throw new Error('InvalidStateError')
    this.configuration = configuration
  }
  restartIce(): void {
    this.restarts++
  }
}

export const answerWith = (username: string): IceServersAnswer => ({
  iceServers: [{ urls: ['stun:a'] }, { urls: ['turn:a'], username, credential: 'c' }],
  ttl: 1,
  expiresAt: '',
  refreshAfter: 0.001,
  source: 'minted',
})

export interface Page {
  askIceServers: (url: string, newToken: () => Promise<string>) => Promise<IceServersAnswer>
  askWithJson: (url: string, token: string) => Promise<Response>
  keepRelay: (peer: FakePeer, ask: () => Promise<IceServersAnswer>, answer: IceServersAnswer) => Promise<void>
}

/** The modules of docs/browser.md, as one. */
export function pageCode(): string {
  const modules = fencesOf(textOf('docs/browser.md')).map(({ code }) => code)
  return `${modules.join('\n').replaceAll(/^export /gm, '')}\nreturn { askIceServers, askWithJson, keepRelay }`
}
