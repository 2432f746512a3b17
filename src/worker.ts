/** Entry of the Worker: the app and the two Durable Object classes. */
import { createApp } from './app.ts'

export { Account } from './account/account.ts'
export { Tenant } from './tenant/tenant.ts'

export default createApp()
