/** Reads `Authorization: Bearer …` (RFC 6750 §2.1). Knows no kind of token. */

const MAX_BEARER_CHARACTERS = 8_192
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i

/** The token, or `undefined` when there is none that could be one. */
export function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > MAX_BEARER_CHARACTERS) return
  return BEARER.exec(authorization)?.[1]
}
