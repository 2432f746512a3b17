/** The check keys of API tokens as operators see them: when each is used, never the key. */

export type CheckKeyView = {
  /** Grows by one with each replacement. */
  number: number
  /** `next`: not in use yet. `current`: new tokens are made with it. `older`: replaced. */
  state: 'next' | 'current' | 'older'
  signsFrom: string
  /** Id of the root key that it is sealed with. */
  rootKey: string
}

/** Newest first. */
export type TokenCheckView = { keys: CheckKeyView[] }
