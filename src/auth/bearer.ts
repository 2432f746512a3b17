/** Parses `Authorization: Bearer …` (RFC 6750 §2.1). Must not distinguish kinds of token. */

/** As long as the longest JWT (compactJws.ts). */
const BEARER = /^bearer +(?!.{16385})([A-Za-z0-9\-._~+/]+=*)$/i

/** The bearer token, or `undefined` if the header is absent or malformed, or the token longer than 16,384 characters. */
export const bearerOf = (authorization = ''): string | undefined => BEARER.exec(authorization)?.[1]
