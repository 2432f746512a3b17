// RTCPeerConnections that find each other within this process: enough of them for the examples to place a call through a
// relay. What they were configured with, and how often they negotiated, is kept for the tests.
import { vi } from 'vitest'

type Description = { type: 'offer' | 'answer'; sdp: string }
type Handler = ((event: never) => unknown) | null

export class FakeConnection extends EventTarget {
  static all: FakeConnection[] = []

  onnegotiationneeded: Handler = null
  onicecandidate: Handler = null
  ondatachannel: Handler = null
  signalingState = 'stable'
  iceConnectionState = 'new'
  iceGatheringState = 'new'
  localDescription: Description | null = null
  configuration: { iceServers?: { username?: string }[] }
  /** The username each gathering used. */
  gathered: (string | undefined)[] = []
  restarts = 0
  channel: FakeChannel | undefined
  #remote: FakeConnection | undefined

  constructor(configuration = {}) {
    super()
    this.configuration = configuration
    FakeConnection.all.push(this)
  }

  getConfiguration = () => ({ ...this.configuration })

  setConfiguration(configuration: object): void {
    this.configuration = configuration
  }

  createDataChannel(): FakeChannel {
    this.channel = new FakeChannel()
    this.#tell('negotiationneeded', {})
    return this.channel
  }

  restartIce(): void {
    this.restarts++
    this.#tell('negotiationneeded', {})
  }

  async setLocalDescription(): Promise<void> {
    const type = this.signalingState === 'have-remote-offer' ? 'answer' : 'offer'
    this.signalingState = type === 'answer' ? 'stable' : 'have-local-offer'
    this.localDescription = { type, sdp: String(FakeConnection.all.indexOf(this)) }
    this.gathered.push(this.configuration.iceServers?.find(({ username }) => username)?.username)
    this.#becomes('iceGatheringState', 'gathering')
    this.#becomes('iceGatheringState', 'complete')
    // As in browsers: after the callers that wait for this have gone on.
    setTimeout(() => this.#tell('icecandidate', { candidate: { candidate: 'relay' } }))
  }

  async setRemoteDescription({ type, sdp }: Description): Promise<void> {
    this.#remote = FakeConnection.all[Number(sdp)]
    this.signalingState = type === 'offer' ? 'have-remote-offer' : 'stable'
    if (type === 'answer') this.#connect()
  }

  async addIceCandidate(): Promise<void> {
    if (!this.#remote) throw new DOMException('no description yet', 'InvalidStateError')
  }

  async getStats(): Promise<Map<string, object>> {
    return new Map<string, object>([
      ['t', { id: 't', type: 'transport', selectedCandidatePairId: 'p' }],
      ['p', { id: 'p', type: 'candidate-pair', localCandidateId: 'l', remoteCandidateId: 'r' }],
      ['l', { id: 'l', type: 'local-candidate', candidateType: 'relay' }],
      ['r', { id: 'r', type: 'remote-candidate', candidateType: 'relay' }],
    ])
  }

  close(): void {
    this.signalingState = 'closed'
  }

  #connect(): void {
    const remote = this.#remote
    if (!remote) throw new Error('nobody there')
    if (this.channel && !remote.channel) {
      remote.channel = new FakeChannel()
      remote.#tell('datachannel', { channel: remote.channel })
      this.channel.other = remote.channel
      remote.channel.other = this.channel
      queueMicrotask(() => this.channel?.onopen?.())
    }
    for (const each of [this, remote]) each.#becomes('iceConnectionState', 'connected')
  }

  #becomes(state: 'iceConnectionState' | 'iceGatheringState', value: string): void {
    this[state] = value
    this.dispatchEvent(new Event(`${state.toLowerCase()}change`))
  }

  #tell(type: 'negotiationneeded' | 'icecandidate' | 'datachannel', event: object): void {
    queueMicrotask(() => this[`on${type}`]?.(event as never)) // the handlers read what is given here
  }
}

class FakeChannel {
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  other: FakeChannel | undefined

  send(data: string): void {
    this.other?.onmessage?.({ data })
  }
}

/** Runs timers for so long, and all that they set off. */
export const pass = (ms: number): Promise<unknown> => vi.advanceTimersByTimeAsync(ms)
