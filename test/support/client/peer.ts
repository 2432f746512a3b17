/** An RTCPeerConnection as far as the browser library looks: configuration, states, statistics, and who listens. */
import type { IceServer, PeerConnection } from '../../../src/client/api.ts'
import { SECOND_MS } from '../broker/clock.ts'
import { listAnswer, playedWorld } from './world.ts'

interface Configuration {
  iceServers?: IceServer[]
  bundlePolicy?: string
}

export type How = 'direct' | 'relayed here' | 'relayed there'

export function newPeer(given: Configuration = {}) {
  const target = new EventTarget()
  let configuration: Configuration = { bundlePolicy: 'max-bundle', ...given }
  let listeners = 0
  let statistics: { id: string; type: string }[] = []
  const state = { signalingState: 'stable', iceConnectionState: 'new', iceGatheringState: 'new' }
  const restarts: number[] = []
  const configured: IceServer[][] = []
  const refuseClosed = () => {
    if (state.signalingState === 'closed') throw new DOMException('closed', 'InvalidStateError')
  }

  const pc: PeerConnection = {
    get signalingState() {
      return state.signalingState
    },
    get iceConnectionState() {
      return state.iceConnectionState
    },
    get iceGatheringState() {
      return state.iceGatheringState
    },
    getConfiguration: () => ({ ...configuration }),
    setConfiguration(next: Configuration) {
      refuseClosed()
      // As browsers do: what cannot be changed must be as it was.
      if (next.bundlePolicy !== configuration.bundlePolicy)
        throw new DOMException('changed', 'InvalidModificationError')
      configuration = next
      configured.push(next.iceServers ?? [])
    },
    restartIce() {
      refuseClosed()
      restarts.push(Date.now())
    },
    async getStats() {
      refuseClosed()
      return new Map(statistics.map((entry) => [entry.id, entry]))
    },
    addEventListener(type, listener) {
      listeners++
      target.addEventListener(type, listener)
    },
    removeEventListener(type, listener) {
      listeners--
      target.removeEventListener(type, listener)
    },
  }

  const played = {
    /** Times of `restartIce`. */
    restarts,
    /** Every list that was set. */
    configured,
    listeners: () => listeners,
    /** The ICE state, as a browser reports it. */
    becomes(ice: string) {
      state.iceConnectionState = ice
      target.dispatchEvent(new Event('iceconnectionstatechange'))
    },
    gathers() {
      for (const now of ['gathering', 'complete']) {
        state.iceGatheringState = now
        target.dispatchEvent(new Event('icegatheringstatechange'))
      }
    },
    /** `undefined`: no pair is selected. */
    selects(how: How | undefined, browser: 'transport' | 'selected' | 'nominated' = 'transport') {
      statistics = how === undefined ? [] : statisticsOf(how, browser)
    },
    /** By this page: no event reports it. */
    close() {
      state.signalingState = 'closed'
      state.iceConnectionState = 'closed'
    },
    /** Candidates gathered, and a pair of them selected. */
    connects(how: How) {
      played.gathers()
      played.selects(how)
      played.becomes('connected')
    },
  }
  return Object.assign(pc, played)
}

/** Three pairs, of which one is in use; how browsers report which one differs. */
function statisticsOf(how: How, browser: 'transport' | 'selected' | 'nominated') {
  const types =
    how === 'relayed here' ? ['relay', 'host'] : how === 'relayed there' ? ['srflx', 'relay'] : ['host', 'prflx']
  const unused = how === 'direct' ? 'relay' : 'host'
  const pair = (id: string, more: object) => ({ id, type: 'candidate-pair', state: 'succeeded', ...more })
  const mark = browser === 'transport' ? {} : browser === 'selected' ? { selected: true } : { nominated: true }
  return [
    { id: 'l1', type: 'local-candidate', candidateType: types[0] },
    { id: 'r1', type: 'remote-candidate', candidateType: types[1] },
    { id: 'l2', type: 'local-candidate', candidateType: unused },
    { id: 'r2', type: 'remote-candidate', candidateType: unused },
    pair('p2', { localCandidateId: 'l2', remoteCandidateId: 'r2', nominated: browser === 'transport' }),
    pair('p1', { localCandidateId: 'l1', remoteCandidateId: 'r1', ...mark }),
    { id: 't', type: 'transport', ...(browser === 'transport' ? { selectedCandidatePairId: 'p1' } : {}) },
  ]
}

export const TEN_MINUTES = { ttl: 600, refreshAfter: 300 }

/** A library with its first list, of ten minutes; the connection was made with it. */
export async function withPeer(how?: How, options?: { initiator?: boolean }) {
  const world = playedWorld(() => listAnswer(TEN_MINUTES))
  const pc = newPeer(await world.done(world.client.get()))
  const detach = world.client.attach(pc, options)
  if (how) pc.connects(how)
  await world.idle()
  const renewal = async () => {
    const before = world.told.update.length
    for (let waits = 0; world.told.update.length === before; waits++) {
      if (waits > 60) throw new Error('no renewal within ten minutes')
      await world.pass(10 * SECOND_MS)
    }
  }
  return { ...world, world, pc, detach, renewal, newest: () => world.told.update.at(-1)?.iceServers }
}
