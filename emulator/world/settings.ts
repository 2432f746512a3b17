// Which of the upstream variants that exist, or may exist, the emulator plays. Presentation and limits only: what is to
// go wrong is in faults.ts.
import * as z from 'zod'

const DurationMs = z.int().min(0)

export const Settings = z.strictObject({
  /** `as-documented`: an array from generate-ice-servers, an object from the older generate. */
  iceServers: z.enum(['as-documented', 'array', 'object']).default('as-documented'),
  urls: z.enum(['array', 'string']).default('array'),
  /** `joined`: STUN and TURN URLs share one entry. */
  entries: z.enum(['split', 'joined']).default('split'),
  urlGeneration: z.enum(['newest', 'port-53']).default('newest'),
  /** `bare`: the create answer as published before September 2025, without the envelope. */
  createAnswer: z.enum(['wrapped', 'bare']).default('wrapped'),
  ttlOutOfRange: z.enum(['refuse', 'clamp']).default('refuse'),
  /** How long the list does not yet show a new key, and still shows a deleted one. */
  listLagMs: DurationMs.default(0),
  getAfterDeleteLagMs: DurationMs.default(0),
  /** The account tokens that are accepted, in place of the one it was started with; null: that one. */
  apiTokens: z.array(z.string().min(1)).nullable().default(null),
  maxKeysPerAccount: z.int().min(0).default(1_000),
  /** null: no limit. The block after an overrun lasts one window. */
  rateLimit: z
    .strictObject({ requests: z.int().min(0), windowSeconds: z.int().min(1) })
    .nullable()
    .default({ requests: 1_200, windowSeconds: 300 }),
  /** Moves the emulator's clock: expiry, lags and the rate window follow, the log's timestamps do not. */
  clockOffsetMs: z.int().default(0),
})
export type Settings = z.infer<typeof Settings>
export type SettingsChange = { [Name in keyof Settings]?: Settings[Name] }
