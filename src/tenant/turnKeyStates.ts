/** The states of a TURN key and the moves between them. Pure: rows and effects are elsewhere. */

export const TURN_KEY_STATES = [
  /** The intent is stored; upstream is being asked, or was. */
  'creating',
  /** Asked, and no answer that can be believed: its job looks for the marker upstream. */
  'unknown',
  'active',
  /** Replaced; goes when its last credential has expired. */
  'retiring',
  /** Mints nothing any more; its removal upstream is being carried on. */
  'deleting',
  'deleted',
  /** The creation came to nothing, for certain. */
  'failed',
  /** Upstream says it has no such key. */
  'missing',
] as const

export type TurnKeyState = (typeof TURN_KEY_STATES)[number]

const MOVES: Record<TurnKeyState, readonly TurnKeyState[]> = {
  creating: ['active', 'unknown', 'failed', 'deleting'],
  unknown: ['failed'],
  active: ['retiring', 'deleting', 'missing'],
  retiring: ['deleting', 'missing'],
  missing: ['active', 'retiring', 'deleting'],
  deleting: ['deleted'],
  deleted: [],
  failed: [],
}

export const mayMove = (from: TurnKeyState, to: TurnKeyState): boolean => MOVES[from].includes(to)

/** Shown by list and get. */
export const VISIBLE = ['active', 'retiring', 'missing'] as const satisfies readonly TurnKeyState[]

export const isVisible = (state: TurnKeyState): state is (typeof VISIBLE)[number] =>
  VISIBLE.some((visible) => visible === state)

/** The name a key has upstream: a marker that leads back to the intent, then the tenant's own name. */
export const marker = (deployment: string, intent: string): string => `tb.${deployment}.${intent}`
/** Whether a name carries this marker and no other that begins alike. */
export const isMarked = (name: string, mark: string): boolean => name === mark || name.startsWith(`${mark} `)
export const markedName = (deployment: string, intent: string, name: string): string =>
  `${marker(deployment, intent)} ${name}`.trimEnd()

/** An intent: 12 random bytes in base62. */
export const INTENT_BYTES = 12
export const INTENT_CHARACTERS = 17
const MARKED = /^tb\.([a-z0-9]{4,16})\.([0-9A-Za-z]{17})(?: (.*))?$/s

/** What a name that carries a marker says; `undefined` for a name that the broker did not make. */
export function readMarkedName(
  text: string,
): { readonly deployment: string; readonly intent: string; readonly name: string } | undefined {
  const [, deployment, intent, name = ''] = MARKED.exec(text) ?? []
  return deployment === undefined || intent === undefined ? undefined : { deployment, intent, name }
}

/** When a doubtful creation is looked for upstream, after it began. Lists lag, so one look proves little. */
export const LOOK_AFTER_MS = [60_000, 300_000, 900_000, 3_600_000, 86_400_000] as const
/** A doubtful creation takes a place in `maxTurnKeys` for this long; after that it very likely never was. */
export const DOUBT_COUNTS_MS = 900_000
