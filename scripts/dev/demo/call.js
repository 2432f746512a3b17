// A relayed call between two peers of this page: a data channel that counts, its path, and whether data flows.

const WHY = { 401: ', because this credential is not valid any more', 701: ', that is, not at all' }
const SEND_EVERY_MS = 250
/** A page in the background sends once a second. */
const FLOWS_WITHIN_MS = 1_600

/**
 * `list` and `iceServers`: of the library. `on`: `candidate(peer, candidate)`, `gathering()`, `note(text)`, `restarted()`,
 * `path(text)`. Answers the call: `facts()`, `lastReceivedAt()`, `restart()`, `close()`.
 */
export function startCall({ iceServers, list, on }) {
  const configuration = { iceServers: list.iceServers, iceTransportPolicy: 'relay' }
  const [caller, callee] = [new RTCPeerConnection(configuration), new RTCPeerConnection(configuration)]
  negotiate({ caller, callee, on })
  iceServers.attach(caller, { initiator: true })
  iceServers.attach(callee, { initiator: false })

  const begunAt = Date.now()
  const counts = { sent: 0, received: 0, lost: 0 }
  let receivedAt = 0
  callee.addEventListener('datachannel', ({ channel }) => {
    channel.addEventListener('message', ({ data }) => {
      counts.lost += Number(data) - counts.received - counts.lost - 1
      counts.received++
      receivedAt = Date.now()
    })
  })
  const channel = caller.createDataChannel('demo')
  channel.addEventListener('open', () => on.note('The data channel is open, over the relay.'))
  caller.addEventListener('iceconnectionstatechange', () => on.note(`ICE: ${caller.iceConnectionState}.`))
  const sending = setInterval(async () => {
    if (channel.readyState === 'open') channel.send(String(++counts.sent))
    on.path(await pathOf(caller))
  }, SEND_EVERY_MS)

  return {
    facts: () => ({
      flowing: Date.now() - receivedAt < FLOWS_WITHIN_MS,
      wasUp: receivedAt > 0,
      sinceMs: Date.now() - begunAt,
      shown: { ...counts, channel: channel.readyState === 'connecting' ? 'not open' : channel.readyState },
    }),
    lastReceivedAt: () => receivedAt,
    restart: () => caller.restartIce(),
    close() {
      clearInterval(sending)
      caller.close()
      callee.close()
    },
  }
}

/** Perfect negotiation needs two sides; here the caller offers and the callee answers, and both are at hand. */
function negotiate({ caller, callee, on }) {
  for (const [from, to, name] of [
    [caller, callee, 'caller'],
    [callee, caller, 'callee'],
  ]) {
    from.addEventListener('icecandidate', ({ candidate }) => {
      if (!candidate?.candidate) return
      on.candidate(name, candidate)
      to.addIceCandidate(candidate).catch(() => undefined)
    })
    from.addEventListener('icecandidateerror', ({ errorCode, url }) =>
      on.note(`${name}: ${url} answered ${errorCode}${WHY[errorCode] ?? ''}.`),
    )
  }
  let offers = 0
  caller.addEventListener('negotiationneeded', async () => {
    if (offers++ > 0) on.restarted()
    on.gathering()
    try {
      await caller.setLocalDescription()
      await callee.setRemoteDescription(caller.localDescription)
      await callee.setLocalDescription()
      await caller.setRemoteDescription(callee.localDescription)
    } catch (error) {
      if (caller.signalingState !== 'closed') on.note(`Negotiation failed: ${error.message}`)
    }
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
