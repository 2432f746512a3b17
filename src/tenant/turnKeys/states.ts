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

/** When a doubtful creation is looked for upstream, after it began. Lists lag, so one look proves little. */
export const RECONCILE_AFTER_MS = [60_000, 300_000, 900_000, 3_600_000, 86_400_000] as const
/** A doubtful creation takes a place in `maxTurnKeys` for this long; after that it very likely never was. */
export const DOUBT_COUNTS_MS = 900_000
