// An upstream answer as plain data, and the dressings Cloudflare puts on one. Operations and faults make and change
// answers; only `toResponse` knows fetch's Response.

export interface Answer {
  status: number
  headers: Record<string, string>
  /** null: no body at all. */
  body: string | null
}

export const AUTHENTICATION_ERROR = 10_000
export const KEY_NOT_FOUND = 20_008
// Not published by Cloudflare: stand-ins, which no client may rely on.
export const BAD_REQUEST = 1_001
export const TOO_MANY_KEYS = 20_009
export const RATE_LIMITED = 971
export const NO_SUCH_ROUTE = 7_003

export function json(status: number, value: unknown): Answer {
  return { status, headers: { 'content-type': 'application/json' }, body: JSON.stringify(value) }
}

export function text(status: number, message: string): Answer {
  return { status, headers: { 'content-type': 'text/plain; charset=utf-8' }, body: message }
}

export function html(status: number): Answer {
  const body = `<!DOCTYPE html><html><head><title>${status}</title></head><body><h1>Error ${status}</h1></body></html>`
  return { status, headers: { 'content-type': 'text/html; charset=UTF-8' }, body }
}

export function empty(status: number): Answer {
  return { status, headers: {}, body: null }
}

export function success(status: number, result: unknown): Answer {
  return json(status, { success: true, errors: [], messages: [], result })
}

export function failure(status: number, code: number, message: string): Answer {
  return json(status, { success: false, errors: [{ code, message }], messages: [], result: null })
}

export function toResponse(answer: Answer): Response {
  const mayHaveBody = answer.status !== 204 && answer.status !== 205 && answer.status !== 304
  return new Response(mayHaveBody ? answer.body : null, { status: answer.status, headers: answer.headers })
}
