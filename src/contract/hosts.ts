/** Which host names mean this machine: there, and only there, plain http is accepted. */

/** `hostname` as a WHATWG URL gives it (IPv6 in brackets). */
export const isLoopbackHost = (hostname: string): boolean =>
  hostname === 'localhost' || hostname === '[::1]' || /^127(\.\d{1,3}){3}$/.test(hostname)
