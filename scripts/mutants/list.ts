// One broken defence, or more, for each promise of docs/guarantees.md. test/node/scripts/mutants.test.ts checks that each text to
// break stands exactly once, and that no promise is left out.
import { CREDENTIALS } from './credentials.ts'
import { DOORS } from './doors.ts'
import { GROWTH } from './growth.ts'
import { LIMITS } from './limits.ts'
import type { Mutant } from './mutant.ts'

export const MUTANTS: readonly Mutant[] = [...CREDENTIALS, ...LIMITS, ...DOORS, ...GROWTH]
