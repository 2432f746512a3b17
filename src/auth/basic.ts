/** Parses `Authorization: Basic …` (RFC 7617 §2). Must not distinguish kinds of password. */

const BASIC = /^basic +([A-Za-z0-9+/]{1,2048}={0,2})$/i

/** The password. `undefined` if the header is absent, malformed, or longer than 2,048 characters. The user name may be anything. */
export function basicPasswordOf(authorization = ''): string | undefined {
  const encoded = BASIC.exec(authorization)?.[1]
  if (encoded === undefined) return
  try {
    const userPass = atob(encoded)
    const colon = userPass.indexOf(':')
    return colon < 0 ? undefined : userPass.slice(colon + 1)
  } catch {
    return
  }
}
