// What the browser test opens: two peers on this page, kept current by the client library, and counters of what happened.
// With a door in its address (#…) nobody drives the page: it tries that door and reports to its own server.
let call

window.app = {
  open: async (options) => {
    call = await open(options)
  },
  state: () => call.state(),
  pair: () => call.pair(),
  username: () => call.username(),
  /** Whether the whole answer does as a configuration: how many servers a connection took from it. */
  asItComes: async ({ url, subject }) =>
    new RTCPeerConnection(JSON.parse(await fetchText({ url, subject }))).getConfiguration().iceServers.length,
  fetchText: (from) => fetchText(from).catch(() => 'nothing'),
}

const tokenOf = async (subject) => (await fetch('/turn-token', { method: 'POST', body: subject })).text()

async function fetchText({ url, subject }) {
  const body = new URLSearchParams({ access_token: await tokenOf(subject) })
  return (await fetch(url, { method: 'POST', body })).text()
}

async function open({ broker, url, subject, ttl, policy }) {
  const { createIceServers } = await import(`${broker}/client.js`)
  const told = []
  const tell = (what) => (it) => {
    told.push({ what, code: it.code, source: it.source, at: Date.now(), expiresAt: it.expiresAt })
  }
  const ice = createIceServers({
    url,
    getToken: () => tokenOf(subject),
    ttl,
    onUpdate: tell('update'),
    onDegraded: tell('degraded'),
    onError: tell('error'),
  })
  const configuration = { ...(await ice.get()), iceTransportPolicy: policy }
  const [caller, callee] = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)]
  for (const [from, to] of [
    [caller, callee],
    [callee, caller],
  ]) {
    from.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate) to.addIceCandidate(candidate).catch(() => undefined)
    })
  }
  const counts = { offers: 0, sent: 0, received: 0, missed: 0 }
  caller.addEventListener('negotiationneeded', async () => {
    counts.offers++
    await caller.setLocalDescription()
    await callee.setRemoteDescription(caller.localDescription)
    await callee.setLocalDescription()
    await caller.setRemoteDescription(callee.localDescription)
  })
  callee.addEventListener('datachannel', ({ channel }) => {
    channel.addEventListener('message', ({ data }) => {
      counts.missed += Number(data) - counts.received - counts.missed - 1
      counts.received++
    })
  })
  const channel = caller.createDataChannel('proof')
  const opened = new Promise((resolve) => channel.addEventListener('open', resolve, { once: true }))
  ice.attach(caller, { initiator: true })
  ice.attach(callee, { initiator: false })
  await opened
  setInterval(() => {
    if (channel.readyState === 'open') channel.send(String(++counts.sent))
  }, 50)
  return {
    state: () => ({ ...counts, channel: channel.readyState, ice: caller.iceConnectionState, told }),
    username: async () => (await ice.get()).iceServers.find((server) => server.username)?.username ?? '',
    pair: () => selectedPair(caller),
  }
}

/** Browsers differ in how they point at the pair in use (w3c/webrtc-stats: `selectedCandidatePairId`; Firefox: `selected`). */
async function selectedPair(pc) {
  const stats = new Map()
  for (const [id, stat] of await pc.getStats()) stats.set(id, stat)
  const transport = [...stats.values()].find(({ selectedCandidatePairId }) => selectedCandidatePairId)
  const pair =
    stats.get(transport?.selectedCandidatePairId) ??
    [...stats.values()].find(({ type, selected }) => type === 'candidate-pair' && selected)
  if (!pair) return undefined
  const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)]
  return { local: local?.candidateType, remote: remote?.candidateType }
}

async function report(options) {
  const told = { servers: await window.app.asItComes(options).catch(String) }
  try {
    call = await open({ ...options, policy: 'relay' })
    while (call.state().received < 3) await new Promise((resolve) => setTimeout(resolve, 50))
    Object.assign(told, { pair: await call.pair(), missed: call.state().missed })
  } catch (error) {
    told.error = String(error)
  }
  await fetch('/report', { method: 'POST', body: JSON.stringify(told) })
}

if (location.hash) await report(JSON.parse(decodeURIComponent(location.hash.slice(1))))
