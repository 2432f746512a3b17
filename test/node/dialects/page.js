// The page that a test opens in Chromium: what it gathers with the ICE servers of a dialect. Relay only, so every candidate went
// through the TURN server.
import { WHIPClient } from '/whip.js'

const WAIT_MS = 10_000

function relayOnly(configuration) {
  const peer = new RTCPeerConnection({ ...configuration, iceTransportPolicy: 'relay' })
  const candidates = []
  const gathered = new Promise((resolve) => {
    peer.addEventListener('icecandidate', ({ candidate }) => {
      if (candidate?.candidate) candidates.push(candidate.candidate)
      if (candidate?.candidate.includes('typ relay')) resolve()
    })
    setTimeout(resolve, WAIT_MS)
  })
  peer.createDataChannel('proof')
  return { peer, candidates, gathered }
}

/** Publishes by WHIP: the server's `Link` headers are all that is known of TURN. */
window.publish = async () => {
  const { peer, candidates, gathered } = relayOnly({})
  await new WHIPClient().publish(peer, `${location.origin}/whip`, 'token')
  await gathered
  const { iceServers } = peer.getConfiguration()
  const servers = iceServers.map(({ urls, username, credential }) =>
    username ? { urls, username, credential } : { urls },
  )
  peer.close()
  return { servers, candidates }
}

/** Gathers with a configuration that came as text. */
window.gather = async (text) => {
  const { peer, candidates, gathered } = relayOnly(JSON.parse(text))
  await peer.setLocalDescription(await peer.createOffer())
  await gathered
  peer.close()
  return candidates
}
