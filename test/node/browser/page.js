// What the browser test drives: two peers on this page, kept current by the client library, and counters of what happened.
let call

window.app = {
  open: async (options) => {
    call = await open(options)
  },
  state: () => call.state(),
  pair: () => call.pair(),
  username: () => call.username(),
  /** Whether the whole answer does as a configuration: how many servers a connection took from it. */
  asItComes: async (url) =>
    new RTCPeerConnection(JSON.parse(await fetchText(url))).getConfiguration().iceServers.length,
  fetchText: (url) => fetchText(url).catch(() => 'nothing'),
}

async function fetchText(url) {
  const body = new URLSearchParams({ access_token: await window.clientToken() })
  return (await fetch(url, { method: 'POST', body })).text()
}

async function open({ broker, url, ttl, policy }) {
  const { createIceServers } = await import(`${broker}/client.js`)
  const told = []
  const tell = (what) => (it) => {
    told.push({ what, code: it.code, source: it.source, at: Date.now(), expiresAt: it.expiresAt })
  }
  const ice = createIceServers({
    url,
    getToken: () => window.clientToken(),
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

async function selectedPair(pc) {
  const stats = await pc.getStats()
  for (const { type, selectedCandidatePairId } of stats.values()) {
    const pair = type === 'transport' ? stats.get(selectedCandidatePairId) : undefined
    if (!pair) continue
    const [local, remote] = [stats.get(pair.localCandidateId), stats.get(pair.remoteCandidateId)]
    return { local: local?.candidateType, remote: remote?.candidateType, localPort: local?.port }
  }
  return undefined
}
