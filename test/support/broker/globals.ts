/** The globals that tests replace. The files that one workerd runs share them, so a test that leaves a fake breaks a later file. */

const NAMES = ['setTimeout', 'clearTimeout', 'Date', 'fetch', 'performance'] as const

// The setup runs once for each file; only the first sees the runtime's own.
const REAL = Symbol.for('turn-broker.realGlobals')
const scope = globalThis as unknown as Record<string, unknown> & { [REAL]?: Record<string, unknown> }
scope[REAL] ??= Object.fromEntries(NAMES.map((name) => [name, scope[name]]))
const real = scope[REAL]

/** Names of the globals that are not the runtime's own now. */
export const replacedGlobals = (): string[] => NAMES.filter((name) => scope[name] !== real[name])

export function restoreGlobals(): void {
  for (const name of replacedGlobals()) scope[name] = real[name]
}
