/** The states of a TURN key and the allowed moves between them. Pure. */
export const TURN_KEY_STATES = [
  /** The intent is stored; Cloudflare is being asked, or was. */
  'creating',
  /** The outcome of the creation is unknown: its job searches Cloudflare's list for the marker. */
  'unknown',
  'active',
  /** It was rotated; it is removed when its last credential has expired. */
  'retiring',
  /** It no longer mints; its removal at Cloudflare goes on. */
  'deleting',
  'deleted',
  /** The creation failed for certain. */
  'failed',
  /** Cloudflare says it has no such key. */
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

/** Neither deleted nor failed: there is something to do, or to keep. */
export const UNFINISHED = [
  'creating',
  'unknown',
  'active',
  'retiring',
  'deleting',
  'missing',
] as const satisfies readonly TurnKeyState[]

/** When Cloudflare's list is searched for a creation with an unknown outcome, after it began. Lists lag: hence five times. */
export const RECONCILE_AFTER_MS = [60_000, 300_000, 900_000, 3_600_000, 86_400_000] as const
/** A creation with an unknown outcome counts against `maxTurnKeys` for this long; after that it very likely made no key. */
export const DOUBT_COUNTS_MS = 900_000
