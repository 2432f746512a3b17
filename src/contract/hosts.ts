/** Hosts for which plain http is accepted: of the broker itself on loopback only, of a tenant's page also in a local network. */

/** `hostname` as in a WHATWG URL, with IPv6 in brackets. */
export const isLoopbackHost = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)

/**
 * Loopback, `*.localhost`, names of multicast DNS (`*.local`), and private (RFC 1918), link-local and unique local (RFC 4193)
 * addresses. `hostname` as in a WHATWG URL, with IPv6 in brackets.
 */
export const isLocalNetworkHost = (hostname: string): boolean =>
  isLoopbackHost(hostname) ||
  /\.local(host)?$/.test(hostname) ||
  /^(10(\.\d+){3}|(192\.168|169\.254|172\.(1[6-9]|2\d|3[01]))(\.\d+){2})$/.test(hostname) ||
  /^\[f([cd][\da-f]{2}|e[89ab][\da-f]):/.test(hostname)

/** Of a URL as a Request has it. The parts are not parsed: this runs for each request over plain http. */
export const isLoopbackUrl = (url: string): boolean =>
  /^http:\/\/(localhost|\[::1\]|127(\.\d{1,3}){3})(:\d{1,5})?\//.test(url)
