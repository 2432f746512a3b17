/** Names of Durable Objects. A Tenant object is named by the tenant's id. */

/** The only Account object. */
export const ACCOUNT_NAME = 'account'
