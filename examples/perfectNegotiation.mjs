// One side of a call with perfect negotiation: both sides run this, one of them as the polite one. The impolite side restarts
// ICE when a relay's credential is renewed, so that the two do not collide over it.
import { createIceServers } from 'turn-broker-client'

/**
 * @typedef {{ description?: RTCSessionDescription | null, candidate?: RTCIceCandidate | null }} Message
 * @typedef {{ send(message: Message): void, onmessage: ((message: Message) => void) | null }} Signaling
 */

/** @param {{ signaling: Signaling, polite: boolean, url: string, getToken: () => Promise<string> }} side */
export async function startCall({ signaling, polite, url, getToken }) {
  const iceServers = createIceServers({
    url,
    getToken,
    onDegraded: ({ code, retryInSeconds }) => console.warn(`no new relay (${code}), again in ${retryInSeconds} s`),
    onError: ({ code }) => console.error(`no relay (${code})`),
  })

  let makingOffer = false
  let ignoringOffer = false
  let settingAnswer = false

  async function connect() {
    // A call that needs no relay works without one.
    const pc = new RTCPeerConnection(await iceServers.get().catch(() => undefined))
    iceServers.attach(pc, { initiator: !polite })
    // Also fires when the library restarts ICE.
    pc.onnegotiationneeded = async () => {
      try {
        makingOffer = true
        await pc.setLocalDescription()
        signaling.send({ description: pc.localDescription })
      } catch (error) {
        console.error(error)
      } finally {
        makingOffer = false
      }
    }
    pc.onicecandidate = ({ candidate }) => signaling.send({ candidate })
    return pc
  }

  const connecting = connect()

  // Listens from the start: what the other side says before this one has its ICE servers waits for them.
  signaling.onmessage = async ({ description, candidate }) => {
    try {
      const pc = await connecting
      if (description) {
        const isReady = !makingOffer && (pc.signalingState === 'stable' || settingAnswer)
        ignoringOffer = !polite && description.type === 'offer' && !isReady
        if (ignoringOffer) return
        settingAnswer = description.type === 'answer'
        await pc.setRemoteDescription(description).finally(() => {
          settingAnswer = false
        })
        if (description.type === 'offer') {
          await pc.setLocalDescription()
          signaling.send({ description: pc.localDescription })
        }
      } else if (!ignoringOffer) await pc.addIceCandidate(candidate ?? undefined)
    } catch (error) {
      console.error(error)
    }
  }

  const pc = await connecting
  const hangUp = () => {
    iceServers.stop()
    pc.close()
  }
  return { pc, hangUp }
}
