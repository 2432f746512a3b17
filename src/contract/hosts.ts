/** Loopback host names. Plain http is accepted only for these. */

/** `hostname` as in a WHATWG URL, with IPv6 in brackets. */
export const isLoopbackHost = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
