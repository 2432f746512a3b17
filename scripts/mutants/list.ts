// One broken defence for each promise of docs/guarantees.md: what it breaks, and the test that must turn red.

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

export const MUTANTS: readonly Mutant[] = [
  {
    promise: 'G4',
    breaks: 'A sealed secret is not bound to its place.',
    file: 'src/crypto/seal.ts',
    find: 'additionalData:',
    replace: 'tagLength: 128, unused:',
    test: 'test/security/crypto.test.ts',
  },
]
