// Bindings that only tests have; vitest.config.ts sets them.
declare namespace Cloudflare {
  interface Env {
    /** Optional in a deployment. */
    ADMIN_TOKEN: string
    EMULATOR_URL: string
    CLOUDFLARE_RTC_URL: string
    /** Not empty: no crash point is left out because it is like another. */
    MATRIX_EVERY_AWAIT: string
    /** The name of a cell of the fault matrix, to play that one only. */
    MATRIX_CELL: string
    /** Rows of each kind in a filled object; empty: 10,000. */
    G15_ROWS: string
  }
}

/** Of Node's own types these few lines are all that tests in workerd need. */
declare module 'node:async_hooks' {
  export class AsyncLocalStorage<T> {
    run<R>(store: T, work: () => R): R
    getStore(): T | undefined
  }
}

/** A file as text, by the bundler of the tests. */
declare module '*.md?raw' {
  const text: string
  export default text
}
