// Runs one of the Node recipes of docs/recipes.md beside the modules that the test has taken from it: both ends of a relayed call, until its
// credential was renewed so many times. Prints how many messages were sent and received.
const { stack, url, token, renewals } = JSON.parse(process.argv[2])
const PAUSE_MS = 20
const policy = 'relay'
const counts = { sent: 0, received: 0, renewals: -1 }
/** Hands one message over; false while there is no connection. */
let send = () => false

/** Two ends of a channel; each message arrives a little later, as a copy. */
function newSignaling(onMessage) {
  const ends = [{}, {}]
  for (const [at, end] of ends.entries()) {
    end.send = (message) => {
      onMessage(message)
      const copy = JSON.parse(JSON.stringify(message))
      setTimeout(() => ends[1 - at].onmessage(copy), 5)
    }
  }
  return ends
}

async function wrtc() {
  const { startCall } = await import('./startCall.js')
  const [one, other] = newSignaling(({ description }) => {
    if (description?.type === 'offer') counts.renewals++
  })
  const side = { url, getToken: token, policy }
  const [caller, callee] = await Promise.all([
    startCall({ ...side, signaling: one, isCaller: true }),
    startCall({ ...side, signaling: other, isCaller: false }),
  ])
  callee.pc.ondatachannel = ({ channel }) => {
    channel.onmessage = () => counts.received++
  }
  const channel = caller.pc.createDataChannel('data')
  channel.onopen = () => {
    send = () => {
      channel.send('x')
      return true
    }
  }
}

/** The other side of the recipes without ICE restart: it answers each offer with a new connection, and keeps all of them. */
const callees = []
const ANSWERS = {
  async 'node-datachannel'(offer, iceServers, { urlsOf }) {
    const { PeerConnection } = await import('node-datachannel')
    const pc = new PeerConnection('callee', { iceServers: urlsOf(iceServers), iceTransportPolicy: policy })
    callees.push(pc)
    pc.onDataChannel((channel) => {
      callees.push(channel)
      channel.onMessage(() => counts.received++)
    })
    const answered = new Promise((resolve) => {
      pc.onGatheringStateChange((state) => state === 'complete' && resolve(pc.localDescription()))
    })
    pc.setRemoteDescription(offer.sdp, offer.type)
    return answered
  },

  async werift(offer, iceServers) {
    const { RTCPeerConnection } = await import('werift')
    const servers = iceServers.flatMap(({ urls, ...login }) => urls.map((url) => ({ urls: url, ...login })))
    const pc = new RTCPeerConnection({ iceServers: servers, iceTransportPolicy: policy })
    callees.push(pc)
    pc.onDataChannel.subscribe((channel) => channel.onMessage.subscribe(() => counts.received++))
    await pc.setRemoteDescription(offer)
    await pc.setLocalDescription(await pc.createAnswer())
    return pc.localDescription
  },
}

async function replaced() {
  const { keepCall } = await import('./keepCall.js')
  const recipe = await import(`./${stack}.js`)
  keepCall({
    url,
    getToken: token,
    connect: (iceServers) =>
      recipe.connect(iceServers, { policy, exchange: (offer) => ANSWERS[stack](offer, iceServers, recipe) }),
    use({ channel }) {
      counts.renewals++
      send = () => {
        if (channel.sendMessage) channel.sendMessage('x')
        else channel.send(Buffer.from('x'))
        return true
      }
    },
  })
}

await (stack === 'wrtc' ? wrtc() : replaced())
const wait = () => new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
// Some messages more over the last relay, and then until all have arrived.
for (let left = 50; left > 0; await wait()) {
  if (counts.renewals >= renewals) left--
  if (send()) counts.sent++
}
for (let left = 250; left > 0 && counts.received < counts.sent; left--) await wait()
console.log(JSON.stringify(counts))
process.exit(0)
