// Drops what workerd prints, native stack included, each time a connection fails: tests make connections fail by the hundred.
// Owns nothing else: a JavaScript error with a stack, and a connection that was not allowed, are still printed.
const lostConnection =
  /^exception = \S+ disconnected: |^uncaught exception; (?:exception = \S+ disconnected: |source = .* stack = Error: Network connection lost\.\n$)/

export function quietWorkerd(): void {
  for (const stream of [process.stdout, process.stderr]) {
    const write = stream.write
    stream.write = function (this: typeof stream, chunk: string | Uint8Array, ...rest: never[]): boolean {
      return typeof chunk === 'string' && lostConnection.test(chunk) ? true : write.call(this, chunk, ...rest)
    }
  }
}
