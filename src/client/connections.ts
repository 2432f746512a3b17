/**
 * Keeps RTCPeerConnections on a valid credential. A relayed connection needs an ICE restart to move to a new allocation
 * before its credential expires. One that is not relayed is left alone. Must not close a connection or send a request.
 */
import type { AttachOptions, IceServerList, PeerConnection } from './api.ts'
import { SECOND_MS } from './clock.ts'
import { isRelayed } from './relayed.ts'

/** A connection that was not relayed at the renewal is checked again this long before its old credential expires. */
const LAST_LOOK_MS = 30 * SECOND_MS
const LAST_LOOK_SHARE = 0.2
/** Minimum time between two recoveries of one connection. */
const RECOVERY_MS = 10 * SECOND_MS
/** A closed connection is detached within this time, because `close()` fires no event. */
const SWEEP_MS = 30 * SECOND_MS
const NEVER = Number.POSITIVE_INFINITY

const EVENTS = ['iceconnectionstatechange', 'icegatheringstatechange']

/** A list with its lifetime, in milliseconds of the library's clock. */
export interface Held {
  readonly list: IceServerList
  /** Absent: the list has no TURN server. */
  readonly username: string | undefined
  readonly begunAt: number
  /** From this time on, the broker issues another credential. */
  readonly refreshAt: number
  readonly endsAt: number
}

interface Peer {
  readonly initiator: boolean
  /** As of the last check while a candidate pair was selected: a failed connection has none. */
  relayed: boolean
  configured: Held | undefined
  /** The list with which the connection's candidates were gathered. */
  gathered: Held | undefined
  lookAt: number
  recovering: boolean
  recoverAt: number
  mayRecoverAt: number
  readonly detach: () => void
}

interface Surroundings {
  now: () => number
  /** The list in use, if still valid. */
  current: () => Held | undefined
  /** Renews early. If the last early renewal was too recent, does nothing and returns when one is allowed. */
  force: () => Promise<number>
  /** Called when `nextAt` may have changed. */
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

  /** Records the list with which candidates are gathered, and when to check the connection again. */
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
    // The browser refused the configuration, so a restart would gather with the old credential.
    if (peer.configured !== current()) return
    // Set before the restart, so that it is not requested twice.
    gatheredWith(peer, peer.configured)
    attemptTo(() => pc.restartIce())
  }

  /** A candidate pair is selected. */
  async function arrived(pc: PeerConnection, peer: Peer): Promise<void> {
    // The candidates may use a credential whose expiry is unknown, so check again soon. The initiator checks now.
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

  /** Restarts ICE if the connection is relayed with an older credential. */
  async function moveOn(pc: PeerConnection, peer: Peer): Promise<void> {
    const isDue = () => {
      const username = current()?.username
      return username !== undefined && username !== peer.gathered?.username && !peer.recovering
    }
    if (isDue() && (await look(pc, peer)) && isDue()) restart(pc, peer)
  }

  /** A relayed connection broke. Its credential may have been revoked, so it gets a new one. */
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
      const retryAt = await force()
      // The connection may have recovered by itself meanwhile.
      if (current() && isHeld(pc, peer) && isDown(pc)) {
        configure(pc, peer)
        if (peer.initiator) restart(pc, peer)
        peer.recoverAt = retryAt
        changed()
      }
    }
    peer.recovering = false
  }

  return {
    attach,

    /** A new list arrived. */
    renewed(): void {
      for (const [pc, peer] of peers) {
        if (isClosed(pc)) peer.detach()
        else {
          configure(pc, peer)
          // A broken connection must gather again, even with the same credential.
          if (isDown(pc)) peer.gathered = undefined
          if (peer.initiator) void moveOn(pc, peer)
        }
      }
    },

    /** Recovers and checks the connections that are due. */
    tick(): void {
      for (const [pc, peer] of peers) {
        if (isClosed(pc)) peer.detach()
        else if (now() >= peer.recoverAt) {
          peer.recoverAt = NEVER
          if (isDown(pc)) void recover(pc, peer)
        } else if (now() >= peer.lookAt) {
          peer.lookAt = NEVER
          // Also if the other side initiates: it does not know when this side's credential expires.
          void moveOn(pc, peer)
        }
      }
    },

    /** When `tick` must be called next. */
    nextAt: (): number =>
      Math.min(...[...peers.values()].flatMap(({ lookAt, recoverAt }) => [lookAt, recoverAt, now() + SWEEP_MS])),

    stop(): void {
      for (const peer of peers.values()) peer.detach()
    },
  }
}

/** Logs an exception instead of throwing: the connection may be closed, or the browser may refuse. */
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
