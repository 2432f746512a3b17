/** The names by which Durable Objects are found. A tenant's object is found by the tenant's id. */

/** There is one Account. */
export const ACCOUNT_NAME = 'account'
