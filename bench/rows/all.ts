// Every experiment, in the order of the table, and the choice of some of them.
import { BROWSER } from './browser.ts'
import { LOOKUPS } from './lookups.ts'
import { MINTS } from './mints.ts'
import { REFUSALS } from './refusals.ts'
import { REPEATS } from './repeats.ts'
import { RESTARTS } from './restart.ts'
import type { Experiment, Row } from './row.ts'

export const EXPERIMENTS: readonly Experiment[] = [...MINTS, ...REPEATS, ...LOOKUPS, ...REFUSALS, ...RESTARTS, BROWSER]
export const ROWS: readonly Row[] = EXPERIMENTS.flatMap(({ rows }) => rows)

/** Those that measure one of the rows; all, without a list. Throws for a row that there is not. */
export function experimentsFor(ids: readonly string[] | undefined): readonly Experiment[] {
  if (ids === undefined) return EXPERIMENTS
  const unknown = ids.filter((id) => !ROWS.some((row) => row.id === id))
  if (unknown.length > 0 || ids.length === 0)
    throw new Error(`no such row: ${unknown.join(', ')}. There are: ${ROWS.map(({ id }) => id).join(', ')}`)
  return EXPERIMENTS.filter(({ rows }) => rows.some(({ id }) => ids.includes(id)))
}
