/** What the runtime says of a call to a Durable Object that broke. */

/** Whether the object was overloaded and never began the call: it may be repeated without harm. */
export const isOverloaded = (error: unknown): boolean =>
  typeof error === 'object' && error !== null && 'overloaded' in error && error.overloaded === true
