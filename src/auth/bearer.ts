/** Parses `Authorization: Bearer …` (RFC 6750 §2.1). Must not distinguish kinds of token. */

const MAX_BEARER_CHARACTERS = 8_192
const BEARER = /^bearer +([A-Za-z0-9\-._~+/]+=*)$/i

/** The bearer token, or `undefined` if the header is absent, malformed or longer than 8,192 characters. */
export function bearerOf(authorization: string | undefined): string | undefined {
  if (authorization === undefined || authorization.length > MAX_BEARER_CHARACTERS) return
  return BEARER.exec(authorization)?.[1]
}
