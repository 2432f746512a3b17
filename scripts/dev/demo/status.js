// The one line on top, from what the page knows. Green only while data flows through the relay. Pure.
import { inWords } from './words.js'

const GOES_ON = 'Its ICE servers are renewed long before they end, and the call goes on.'
const NO_TURN_SERVER =
  'The ICE servers are as Cloudflare gives them, but no TURN server stands behind them on this machine, so no call is tried.'
const WAITS_FOR_BROWSER =
  'The relay ended. The browser notices within some seconds; then the library asks for a new credential and restarts ICE.'
/** A relayed call within one machine takes less than a second. */
const LONG_MS = 8_000

/**
 * `facts`: `relays` (a TURN server runs here), `list` (`hasRelay`, or null), `trouble` (`code`, `ended`, or null), `call`
 * (`flowing`, `wasUp`, `sinceMs` since it was begun, or null), `retryInSeconds` of the last failure.
 */
export function statusOf({ relays, list, trouble, call }) {
  const flowing = call?.flowing === true
  const why = trouble ? inWords(trouble.code) + again(trouble) : ''
  if (trouble?.ended && !flowing) return { state: 'bad', title: 'No ICE servers.', detail: why }
  if (!relays && list)
    return { state: 'degraded', title: 'Nothing relays: coturn is not installed.', detail: NO_TURN_SERVER }
  if (flowing && trouble)
    return { state: 'degraded', title: 'The call is up, but there is no new credential.', detail: why }
  if (flowing) return { state: 'good', title: 'The call is up: data flows through the relay.', detail: GOES_ON }
  if (list && !list.hasRelay) return { state: 'degraded', title: 'No relay for now: STUN only.', detail: why }
  if (call?.wasUp)
    return {
      state: 'degraded',
      title: 'The call is interrupted: nothing arrives.',
      detail: trouble ? why : WAITS_FOR_BROWSER,
    }
  if (call && call.sinceMs > LONG_MS)
    return {
      state: 'bad',
      title: 'No call: the TURN server does not answer.',
      detail: 'Does coturn still run? npm run dev starts it.',
    }
  if (list) return { state: 'waiting', title: 'Connecting through the relay …', detail: '' }
  return { state: 'waiting', title: 'Asking for ICE servers …', detail: '' }
}

const again = ({ retryInSeconds }) =>
  retryInSeconds === undefined ? '' : ` Next attempt in ${Math.ceil(retryInSeconds)} s.`
