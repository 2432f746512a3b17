/**
 * Keeps RTCPeerConnections current. A relayed one must move to a new allocation before its credential expires, which takes
 * an ICE restart; one that is not relayed is left alone. Never closes anything, and asks for nothing but a renewal.
 */
import type { AttachOptions, IceServerList, PeerConnection } from './api.ts'
import { SECOND_MS } from './clock.ts'
import { isRelayed } from './relayed.ts'

/** A connection that was not relayed at the renewal is looked at again so long before its old credential ends. */
const LAST_LOOK_MS = 30 * SECOND_MS
const LAST_LOOK_SHARE = 0.2
/** Between two attempts to bring one connection back. */
const RECOVERY_MS = 10 * SECOND_MS
/** A closed connection is let go of within this time: its closing is no event. */
const SWEEP_MS = 30 * SECOND_MS
const NEVER = Number.POSITIVE_INFINITY

const EVENTS = ['iceconnectionstatechange', 'icegatheringstatechange']

/** A list with its life, by the library's clock. */
export interface Held {
  readonly list: IceServerList
  /** Absent: it relays nothing. */
  readonly username: string | undefined
  readonly begunAt: number
  /** When the broker gives another. */
  readonly refreshAt: number
  readonly endsAt: number
}

interface Peer {
  readonly initiator: boolean
  /** As last seen while a pair was selected: one that failed has none. */
  relayed: boolean
  configured: Held | undefined
  /** What the connection's candidates were gathered with. */
  gathered: Held | undefined
  lookAt: number
  recovering: boolean
  recoverAt: number
  mayRecoverAt: number
  readonly detach: () => void
}

interface Surroundings {
  now: () => number
  /** The valid list. */
  current: () => Held | undefined
  /** One attempt to get a new list out of turn. If there was one just now: none, and the time when there may be one. */
  force: () => Promise<number>
  /** Something is due at another time than before. */
  changed: () => void
}

const isDown = (pc: PeerConnection) => /^(disconnected|failed)$/.test(pc.iceConnectionState)
const isClosed = (pc: PeerConnection) => pc.signalingState === 'closed'

export function newConnections({ now, current, force, changed }: Surroundings) {
  const peers = new Map<PeerConnection, Peer>()
  const isHeld = (pc: PeerConnection, peer: Peer) => peers.get(pc) === peer && !isClosed(pc)

  function attach(pc: PeerConnection, { initiator = true }: AttachOptions = {}): () => void {
    peers.get(pc)?.detach()
    const onEvent = () => {
      if (isClosed(pc)) peer.detach()
      else if (isDown(pc)) void recover(pc, peer)
      else if (/^(connected|completed)$/.test(pc.iceConnectionState)) void arrived(pc, peer)
    }
    const onGathering = () => {
      if (pc.iceGatheringState === 'gathering') gatheredWith(peer, peer.configured)
    }
    const listeners = [onEvent, onGathering]
    const peer: Peer = {
      initiator,
      relayed: false,
      configured: undefined,
      gathered: undefined,
      lookAt: NEVER,
      recovering: false,
      recoverAt: NEVER,
      mayRecoverAt: 0,
      detach() {
        if (peers.get(pc) === peer) peers.delete(pc)
        EVENTS.forEach((type, at) => {
          pc.removeEventListener(type, listeners[at] ?? onEvent)
        })
      },
    }
    if (isClosed(pc)) return () => {}
    peers.set(pc, peer)
    EVENTS.forEach((type, at) => {
      pc.addEventListener(type, listeners[at] ?? onEvent)
    })
    const held = current()
    if (held && usernamesOf(pc).includes(held.username)) gatheredWith(peer, held)
    configure(pc, peer)
    onEvent()
    return peer.detach
  }

  /** New candidates are gathered with what is configured then. */
  function gatheredWith(peer: Peer, held: Held | undefined): void {
    peer.gathered = held
    peer.lookAt = held ? held.endsAt - Math.min(LAST_LOOK_MS, (held.endsAt - held.begunAt) * LAST_LOOK_SHARE) : NEVER
    changed()
  }

  function configure(pc: PeerConnection, peer: Peer): void {
    const held = current()
    if (!held || peer.configured === held) return
    const { iceServers } = held.list
    attemptTo(() => {
      pc.setConfiguration({ ...pc.getConfiguration(), iceServers })
      peer.configured = held
    })
  }

  function restart(pc: PeerConnection, peer: Peer): void {
    configure(pc, peer)
    // Refused: it would gather with the old credential.
    if (peer.configured !== current()) return
    // Before the candidates are there: it must not be asked for twice.
    gatheredWith(peer, peer.configured)
    attemptTo(() => pc.restartIce())
  }

  /** A pair is selected. */
  async function arrived(pc: PeerConnection, peer: Peer): Promise<void> {
    // Its credential may be of a list from before, which ends nobody knows when. Who does not initiate waits for the other.
    if (!peer.gathered && peer.lookAt === NEVER) {
      peer.lookAt = now() + LAST_LOOK_MS
      changed()
    }
    await look(pc, peer)
    if (peer.initiator) await moveOn(pc, peer)
  }

  async function look(pc: PeerConnection, peer: Peer): Promise<boolean> {
    peer.relayed = (await isRelayed(pc)) ?? peer.relayed
    return peer.relayed && isHeld(pc, peer)
  }

  /** Off an old credential, if the connection rests on it. */
  async function moveOn(pc: PeerConnection, peer: Peer): Promise<void> {
    const isDue = () => {
      const username = current()?.username
      return username !== undefined && username !== peer.gathered?.username && !peer.recovering
    }
    if (isDue() && (await look(pc, peer)) && isDue()) restart(pc, peer)
  }

  /** A relayed connection that broke: its credential may have been revoked, so it gets a new one. */
  async function recover(pc: PeerConnection, peer: Peer): Promise<void> {
    if (peer.recovering) return
    if (now() < peer.mayRecoverAt) {
      peer.recoverAt = peer.mayRecoverAt
      changed()
      return
    }
    peer.recovering = true
    if (await look(pc, peer)) {
      peer.mayRecoverAt = now() + RECOVERY_MS
      const again = await force()
      // It may have come back by itself meanwhile.
      if (current() && isHeld(pc, peer) && isDown(pc)) {
        configure(pc, peer)
        if (peer.initiator) restart(pc, peer)
        peer.recoverAt = again
        changed()
      }
    }
    peer.recovering = false
  }

  return {
    attach,

    /** A new list is there. */
    renewed(): void {
      for (const [pc, peer] of peers) {
        if (isClosed(pc)) peer.detach()
        else {
          configure(pc, peer)
          // What a broken connection was gathered with is of no use, be it the same credential.
          if (isDown(pc)) peer.gathered = undefined
          if (peer.initiator) void moveOn(pc, peer)
        }
      }
    },

    /** Does what is due. */
    tick(): void {
      for (const [pc, peer] of peers) {
        if (isClosed(pc)) peer.detach()
        else if (now() >= peer.recoverAt) {
          peer.recoverAt = NEVER
          if (isDown(pc)) void recover(pc, peer)
        } else if (now() >= peer.lookAt) {
          peer.lookAt = NEVER
          // Also where the other side initiates: it need not know when this side's credential ends.
          void moveOn(pc, peer)
        }
      }
    },

    /** When `tick` has something to do. */
    nextAt: (): number =>
      Math.min(...[...peers.values()].flatMap(({ lookAt, recoverAt }) => [lookAt, recoverAt, now() + SWEEP_MS])),

    stop(): void {
      for (const peer of peers.values()) peer.detach()
    },
  }
}

/** The connection may be closed at any moment, and a browser may refuse: neither may end anything else. */
function attemptTo(act: () => void): void {
  try {
    act()
  } catch (error) {
    console.error(error)
  }
}

function usernamesOf(pc: PeerConnection): unknown[] {
  const { iceServers = [] } = pc.getConfiguration() as { iceServers?: { username?: unknown }[] } // RTCConfiguration
  return iceServers.flatMap(({ username }) => username ?? [])
}
