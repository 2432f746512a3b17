// What a fault may do to the connection a request came on. The app knows it by this type only; a server with real
// sockets supplies it, one request at a time.

/** Marks a Response that stands for "nothing more to send". */
export const HANDLED_HEADER = 'x-hono-already-sent'

interface Head {
  status: number
  headers: Record<string, string>
}

export interface Connection {
  /** Ends the connection with a TCP reset. */
  reset(): void
  /** Ends it in good order, whatever was promised. */
  end(): void
  /** Sends a head that promises `promisedBytes` and the given bytes; resolves when they are handed to the kernel. */
  sendPart(head: Head, sent: { bytes: Uint8Array; promisedBytes: number }): Promise<void>
  /** Resolves when the connection is gone, by either side. */
  untilClosed(): Promise<void>
  /** What the app returns once the connection has been dealt with here; carries HANDLED_HEADER. */
  handled(): Response
}
