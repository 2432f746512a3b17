/** The state of a client as one object, replaced when it changes, and the listeners that get it. Decides nothing. */
import type { IceServersError, Snapshot } from './api.ts'

type Listener = (snapshot: Snapshot) => unknown

export function newSnapshots(tell: (listener: Listener, snapshot: Snapshot) => void) {
  let snapshot: Snapshot = { list: null, error: null }
  const listeners = new Set<Listener>()
  return {
    getSnapshot: (): Snapshot => snapshot,

    listen(listener: Listener): () => void {
      // A function of its own, so that one listener can subscribe twice.
      const own: Listener = (it) => listener(it)
      listeners.add(own)
      return () => listeners.delete(own)
    },

    publish(list: Snapshot['list'], error: IceServersError | null): void {
      if (list === snapshot.list && error === snapshot.error) return
      snapshot = { list, error }
      for (const listener of [...listeners]) tell(listener, snapshot)
    },
  }
}
