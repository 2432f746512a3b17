/** The protocol between a test and the scripted identity provider of identityProviders.ts. */

/** What a path answers. A path without a script is a 404. */
export interface PlayedAnswer {
  status?: number
  headers?: Record<string, string>
  body?: string
  /** Before the first byte. */
  afterMs?: number
  /** `hang`: no answer. `drip`: a byte now and then, for ever. `flood`: bytes without an end. `reset`: the connection breaks. */
  instead?: 'hang' | 'drip' | 'flood' | 'reset'
}

/** A request that was received. */
export interface Received {
  method: string
  headers: Record<string, string | string[] | undefined>
}
