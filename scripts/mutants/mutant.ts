// One broken defence: what the broken code does, and which test file must fail.

export interface Mutant {
  /** The promise as tests name it. */
  readonly promise: `G${number}`
  /** What the broken code does, as a sentence. */
  readonly breaks: string
  readonly file: string
  /** Stands exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** The test file that must fail, with a test that bears the promise's number. */
  readonly test: string
}
