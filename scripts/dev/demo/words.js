// What the page says in plain words: of the codes of the broker and its library, and of what the buttons did.

const CODES = {
  origin_not_allowed: "This page's origin is not in the tenant's policy: the broker refuses it.",
  subject_banned: 'This user is banned: the broker gives nothing, and the library does not ask again.',
  tenant_suspended: 'The tenant is suspended: its back end gets no client tokens, and nothing new is handed out.',
  no_turn_key:
    'The tenant has no TURN key yet. Create one (the lines that npm run dev printed), and this page recovers.',
  invalid_token: "The broker does not accept the client token. Is the tenant's API token still there?",
  token_unavailable: "The app's own back end did not give a client token.",
  rate_limited: 'Too many requests; the library waits and asks again.',
  subject_limit: 'This user has as many credentials as the policy allows; the library waits and asks again.',
  upstream_failed: "Cloudflare's API refused, failed or answered nonsense.",
  upstream_timeout: "Cloudflare's API did not answer in time.",
  upstream_unavailable: "Cloudflare's API cannot be asked right now.",
  network: 'The broker cannot be reached.',
  stun_only: "Cloudflare's API cannot be asked right now, so there is no relay to give.",
  not_renewed: "Cloudflare's API cannot be asked right now, so the same credential was given again.",
}

export const inWords = (code) => CODES[code] ?? `The broker said: ${code}.`

export const SOURCES = {
  minted: 'a new credential',
  reused: 'a credential this user already had',
  'stun-only': 'no relay: STUN only',
}

const credentials = (count) => `${count} ${count === 1 ? 'credential' : 'credentials'}`

const relayEnds = ({ upstreamFailsUntil, relays }) => {
  if (upstreamFailsUntil > 0)
    return 'The broker hands out none of it any more. It cannot tell Cloudflare now and tries again, so the relay ends later.'
  return relays ? 'The broker tells Cloudflare, and the relay ends.' : 'The library learns of it with its next request.'
}

/** What an action did, from the server's answer to it and `relays`. */
export const DONE = {
  revoke: (outcome) =>
    `The back end revoked all that this user has: ${credentials(outcome.matched)}. ${relayEnds(outcome)}`,
  ban: (outcome) =>
    `The back end banned this user for an hour, and revoked ${credentials(outcome.matched)}. ${relayEnds(outcome)}`,
  lift: () => 'The ban is lifted. The library had stopped for good, so the page starts over.',
  suspend: () =>
    'The operator suspended the tenant: nothing new is handed out. The call goes on until its credential ends.',
  resume: () => 'The operator resumed the tenant.',
  'break-upstream': () =>
    "Cloudflare's API, played by the emulator, fails for 30 s. What was handed out stays good: a renewal fails and is repeated.",
}
