// The demo page: ICE servers through the client library, the candidates they lead to, a relay-only data channel between two
// peers of this page, the countdown to renewal, and in plain words what is wrong when something is.
const { broker, tenant } = document.body.dataset
const at = (id) => document.getElementById(id)
const show = (id, text) => {
  at(id).textContent = text
}

const WORDS = {
  origin_not_allowed: "This page's origin is not in the tenant's policy: the broker refuses it.",
  subject_banned: 'This user is banned.',
  tenant_suspended: 'The tenant is suspended: nothing is handed out.',
  no_turn_key:
    'The tenant has no TURN key yet. Create one (the lines that npm run dev printed), and this page recovers.',
  invalid_token: "The broker does not accept the client token. Is the tenant's API token still there?",
  token_unavailable: "The app's own back end did not give a client token.",
  rate_limited: 'Too many requests; it waits and asks again.',
  upstream_failed: "Cloudflare's API refused or answered nonsense.",
  upstream_timeout: "Cloudflare's API did not answer in time.",
  upstream_unavailable: "Cloudflare's API cannot be asked right now.",
  network: 'The broker cannot be reached.',
  stun_only: "Cloudflare's API cannot be asked right now, so there is no relay to give.",
  not_renewed: "Cloudflare's API cannot be asked right now, so the same credential was given again.",
}
const inWords = (code) => WORDS[code] ?? `The broker said: ${code}.`

function state(kind, title, detail = '') {
  at('state').dataset.state = kind
  show('state-title', title)
  show('state-detail', detail)
}

function note(text) {
  const item = document.createElement('li')
  const time = document.createElement('time')
  time.textContent = new Date().toLocaleTimeString()
  item.append(time, text)
  at('events').prepend(item)
}

// --- ICE servers -------------------------------------------------------------------------------------------------------

let list
let listFrom = 0

async function getToken() {
  const response = await fetch('/demo/token', { method: 'POST', headers: { 'x-demo': '1' } })
  if (!response.ok) throw new Error(`back end: ${response.status}`)
  return (await response.json()).token
}

const turnOf = (answer) => answer?.iceServers.find((server) => server.username)

function onUpdate(answer) {
  const seconds = Math.round((answer.expiresAt - Date.now()) / 1000)
  list = answer
  listFrom = Date.now()
  const turn = turnOf(answer)
  show(
    'source',
    { minted: 'a new credential', reused: 'a credential this user already had', 'stun-only': 'no relay: STUN only' }[
      answer.source
    ],
  )
  show('username', turn?.username ?? 'none')
  at('urls').replaceChildren(
    ...answer.iceServers
      .flatMap(({ urls }) => [urls].flat())
      .map((url) => {
        const item = document.createElement('li')
        item.textContent = url
        return item
      }),
  )
  if (turn) state('good', 'ICE servers are current.', 'They are renewed long before they end, and the call goes on.')
  note(turn ? `List ${answer.source}, ends in ${seconds} s.` : 'List without a relay.')
}

function onDegraded({ code, retryInSeconds }) {
  state(
    'degraded',
    turnOf(list) ? 'Renewal failed; the list is still good.' : 'No relay for now: STUN only.',
    `${inWords(code)} Next attempt in ${Math.round(retryInSeconds ?? 0)} s.`,
  )
  note(turnOf(list) ? `Renewal failed: ${code}.` : `No relay: ${code}.`)
}

function onError({ code }) {
  state('bad', 'No ICE servers.', inWords(code))
  note(`No list: ${code}.`)
}

function tick() {
  if (!list) return
  const [life, left] = [list.expiresAt - listFrom, Math.max(0, list.expiresAt - Date.now())]
  const renewal = list.renewsAt - Date.now()
  at('life').style.width = `${(100 * left) / life}%`
  at('life').classList.toggle('late', renewal <= 0)
  at('renewal').hidden = false
  at('renewal').style.left = `${(100 * (list.expiresAt - list.renewsAt)) / life}%`
  show('renews', renewal > 0 ? `Renews in ${Math.ceil(renewal / 1000)} s.` : 'Renewal is due.')
  show('ends', left > 0 ? `The list ends in ${Math.ceil(left / 1000)} s.` : 'The list has ended.')
}

// --- The call ----------------------------------------------------------------------------------------------------------

function row(peer, candidate) {
  const cells = [
    peer,
    candidate.type,
    candidate.protocol,
    `${candidate.address ?? '?'}:${candidate.port ?? '?'}`,
    candidate.url ?? '',
  ]
  const line = document.createElement('tr')
  line.append(
    ...cells.map((text, index) => {
      const cell = document.createElement('td')
      const inner = index === 1 ? document.createElement('span') : cell
      inner.textContent = text
      if (index === 1) {
        inner.className = 'type'
        cell.append(inner)
      }
      return cell
    }),
  )
  at('candidates').querySelector('.empty')?.remove()
  at('candidates').append(line)
}

/** Perfect negotiation needs two sides; here the caller offers and the callee answers, and both are at hand. */
function connect(caller, callee) {
  for (const [from, to, name] of [
    [caller, callee, 'caller'],
    [callee, caller, 'callee'],
  ]) {
    from.addEventListener('icecandidate', ({ candidate }) => {
      if (!candidate) return
      row(name, candidate)
      to.addIceCandidate(candidate).catch(() => undefined)
    })
    from.addEventListener('icecandidateerror', ({ errorCode, url }) => note(`${name}: ${url} answered ${errorCode}.`))
  }
  let offers = 0
  caller.addEventListener('negotiationneeded', async () => {
    if (offers++ > 0) {
      show('restarts', String(offers - 1))
      note('ICE restart: the call moves to the new credential.')
    }
    await caller.setLocalDescription()
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription()
    await caller.setRemoteDescription(callee.localDescription)
  })
}

async function pathOf(pc) {
  const stats = new Map()
  for (const [id, stat] of await pc.getStats()) stats.set(id, stat)
  const all = [...stats.values()]
  const selected = all.find(({ selectedCandidatePairId }) => selectedCandidatePairId)?.selectedCandidatePairId
  // Firefox marks the pair itself.
  const pair = stats.get(selected) ?? all.find(({ type, selected }) => type === 'candidate-pair' && selected)
  if (!pair) return 'none yet'
  const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)]
  return `${local?.candidateType} ↔ ${remote?.candidateType}`
}

async function call(ice) {
  const answer = await ice.get()
  if (!turnOf(answer)) throw new Error('no relay yet')
  const configuration = { iceServers: answer.iceServers, iceTransportPolicy: 'relay' }
  const [caller, callee] = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)]
  connect(caller, callee)
  ice.attach(caller, { initiator: true })
  ice.attach(callee, { initiator: false })

  const counts = { sent: 0, received: 0, lost: 0 }
  callee.addEventListener('datachannel', ({ channel }) => {
    channel.addEventListener('message', ({ data }) => {
      counts.lost += Number(data) - counts.received - counts.lost - 1
      counts.received++
      for (const name of Object.keys(counts)) show(name, String(counts[name]))
    })
  })
  const channel = caller.createDataChannel('demo')
  channel.addEventListener('open', () => {
    show('channel', 'open')
    note('The data channel is open, over the relay.')
  })
  channel.addEventListener('close', () => show('channel', 'closed'))
  caller.addEventListener('iceconnectionstatechange', () => note(`ICE: ${caller.iceConnectionState}.`))
  setInterval(async () => {
    if (channel.readyState === 'open') channel.send(String(++counts.sent))
    show('path', await pathOf(caller))
  }, 250)
  setTimeout(() => {
    if (channel.readyState !== 'open') {
      show('channel', 'not open: no relay answers')
      note('No TURN server answers: is coturn installed? npm run dev starts it then.')
    }
  }, 8_000)
}

// --- Together ----------------------------------------------------------------------------------------------------------

try {
  const { createIceServers } = await import(`${broker}/client.js`)
  const ice = createIceServers({
    url: `${broker}/v1/tenants/${tenant}/ice-servers`,
    getToken,
    onUpdate,
    onDegraded,
    onError,
  })
  setInterval(tick, 250)
  for (;;) {
    try {
      await call(ice)
      break
    } catch {
      // Reported by onError or onDegraded; asked again by the library, and looked at again here.
      await new Promise((resolve) => setTimeout(resolve, 2_000))
    }
  }
} catch (error) {
  state('bad', 'The client library could not be loaded.', String(error?.message ?? error))
}
