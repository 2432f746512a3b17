// The demo page: ICE servers through the client library, a relayed call on them, buttons that take things away, and in plain words
// what follows. This file holds what the page knows, and begins over when the library has stopped for good.
import { refresh, wireButtons } from './buttons.js'
import { startCall } from './call.js'
import { addCandidate, clearCandidates } from './candidates.js'
import { statusOf } from './status.js'
import { at, note, show, showLife, showStatus, showUrls } from './view.js'
import { inWords, SOURCES } from './words.js'

const { broker, tenant, relays, install } = document.body.dataset
const LOOK_EVERY_MS = 250
const ASK_AGAIN_MS = 2_000

/** What one run of the library and its call have come to. Begun over, what an older run reports counts no more. */
let run = newRun()
let clickedAt = 0
let restarts = 0

function newRun() {
  return { iceServers: null, list: null, from: 0, trouble: null, call: null, flowed: false }
}

const turnOf = (list) => list?.iceServers.find((server) => server.username)
const isValid = (list) => list !== null && list.expiresAt > Date.now()
const seconds = (ms) => `${(ms / 1000).toFixed(1)} s`

// --- ICE servers -------------------------------------------------------------------------------------------------------

/** As from any app's own back end. Its refusal is remembered: the library only knows that there was no token. */
async function getToken() {
  const response = await fetch('/demo/token', { method: 'POST', headers: { 'x-demo': '1' } })
  const answer = await response.json()
  tokenRefusal = response.ok ? null : answer.code
  if (!response.ok) throw new Error(`back end: ${response.status}`)
  return answer.token
}
let tokenRefusal = null
const codeOf = (code) => (code === 'token_unavailable' && tokenRefusal ? tokenRefusal : code)

function onUpdate(mine, list) {
  mine.list = list
  mine.from = Date.now()
  mine.trouble = null
  const turn = turnOf(list)
  show('source', SOURCES[list.source])
  show('username', turn?.username ?? 'none')
  showUrls(list.iceServers.flatMap(({ urls }) => [urls].flat()))
  const ends = Math.round((list.expiresAt - Date.now()) / 1000)
  note(turn ? `ICE servers came: ${SOURCES[list.source]}, good for ${ends} s.` : 'ICE servers without a relay came.')
}

function onTrouble(mine, { code: given, retryInSeconds }, ended) {
  const code = codeOf(given)
  const isNew = mine.trouble?.code !== code || mine.trouble.ended !== ended
  mine.trouble = { code, ended, ...(retryInSeconds === undefined ? {} : { retryInSeconds }) }
  if (!isNew) return
  note(`${ended ? 'No ICE servers' : 'No new ICE servers'} (${code}). ${inWords(code)}`)
  // Decided elsewhere: the buttons must offer the way back.
  if (/^(subject_banned|tenant_suspended)$/.test(code)) void refresh()
}

// --- The call ----------------------------------------------------------------------------------------------------------

const on = {
  candidate: addCandidate,
  gathering: clearCandidates,
  note,
  restarted() {
    show('restarts', String(++restarts))
    note('ICE restarts: the call moves to the current credential.')
  },
  path: (text) => show('path', text),
}

async function callWhenPossible(mine) {
  while (mine === run && mine.call === null) {
    const list = await mine.iceServers.get().catch(() => null)
    if (mine !== run) return
    // What is missing was reported by the library, which asks again.
    if (turnOf(list)) mine.call = startCall({ iceServers: mine.iceServers, list, on })
    else await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS))
  }
}

// --- Together ----------------------------------------------------------------------------------------------------------

function begin(createIceServers) {
  run.iceServers?.stop()
  run.call?.close()
  const mine = newRun()
  run = mine
  const whileCurrent =
    (report) =>
    (...told) =>
      mine === run && report(mine, ...told)
  mine.iceServers = createIceServers({
    url: `${broker}/v1/tenants/${tenant}/ice-servers`,
    getToken,
    onUpdate: whileCurrent(onUpdate),
    onDegraded: whileCurrent((it, state) => onTrouble(it, state, false)),
    onError: whileCurrent((it, error) => onTrouble(it, error, true)),
  })
  if (relays === 'yes') void callWhenPossible(mine)
  else mine.iceServers.get().catch(() => undefined)
}

/** Notes when data stops and when it flows again: what a click has led to. */
function look() {
  const call = run.call?.facts() ?? null
  const stopped = run.trouble?.ended === true && run.trouble.retryInSeconds === undefined
  if (run.list) showLife({ ...run.list, from: run.from, stopped })
  for (const [name, value] of Object.entries(call?.shown ?? {})) show(name, String(value))
  show('data', call?.flowing ? 'flows' : 'nothing arrives')
  if (call && call.flowing !== run.flowed) {
    run.flowed = call.flowing
    const last = run.call.lastReceivedAt()
    const after =
      clickedAt > 0 && last >= clickedAt - LOOK_EVERY_MS
        ? `, ${seconds(Math.max(0, last - clickedAt))} after the click`
        : ''
    if (call.flowing)
      note(clickedAt > 0 ? `Messages arrive, ${seconds(last - clickedAt)} after the click.` : 'Messages arrive.')
    else note(`Nothing arrives any more${after}: the relay ended.`)
  }
  const list = isValid(run.list) ? { hasRelay: turnOf(run.list) !== undefined } : null
  showStatus(statusOf({ relays: relays === 'yes', list, trouble: run.trouble, call }))
}

try {
  const { createIceServers } = await import(`${broker}/client.js`)
  at('install').hidden = relays === 'yes' || install === ''
  at('no-call').hidden = relays === 'yes'
  at('call-facts').hidden = relays === 'no'
  wireButtons({
    relays: relays === 'yes',
    did() {
      clickedAt = Date.now()
    },
    done(action) {
      const stopped = run.trouble !== null && !run.call?.facts().flowing
      if (action === 'lift' || (action === 'resume' && stopped)) begin(createIceServers)
    },
    restart() {
      clickedAt = Date.now()
      if (run.call) run.call.restart()
      else note('There is no call whose ICE could be restarted.')
    },
  })
  void refresh()
  begin(createIceServers)
  setInterval(look, LOOK_EVERY_MS)
} catch (error) {
  showStatus({
    state: 'bad',
    title: 'The client library could not be loaded.',
    detail: String(error?.message ?? error),
  })
}
