/**
 * Rate limits: approximate, per Cloudflare location. The Tenant has exact ones. A request whose token proves itself is counted
 * by its tenant and subject; any other by the address it comes from. So no limit depends on what a cache holds, and none of a
 * good token on an address: back ends on Workers all share one, and so do many users of a mobile carrier.
 */
import { keyedDigest } from '../../crypto/mac.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'

/** The limiters count in windows of 60 s and do not report when a window ends. */
const RETRY_AFTER_SECONDS = 30

/** Counts a request that proves nothing: by its IPv4 address, or by its IPv6 /64 and the /48 around it. */
export async function limitAddress(c: Ctx): Promise<void> {
  const { block, site } = addressBlocks(c.req.header('CF-Connecting-IP') ?? '')
  await limit(c.env.RATE_IP, block)
  if (site !== undefined) await limit(c.env.RATE_SITE, site)
}

/**
 * Does what shows whether a request proves itself. If that throws, the request is counted by its address: throws `rate_limited`
 * over the limit, else what was thrown.
 */
export async function countingUnproven<T>(c: Ctx, prove: () => Promise<T>): Promise<T> {
  try {
    return await prove()
  } catch (error) {
    await limitAddress(c)
    throw error
  }
}

/** Counts a request of a tenant whose token proves itself. */
export const limitTenant = (c: Ctx, tenant: string): Promise<void> => limit(c.env.RATE_TENANT, tenant)

/** Counts a request of an operator. The colon is in no tenant's id. */
export async function limitOperator(c: Ctx, name: string): Promise<void> {
  await limit(c.env.RATE_TENANT, `operator:${name}`)
}

/** `subject` as the tenant names it. The limiter is given a keyed hash: no name leaves the broker. */
export async function limitSubject(c: Ctx, tenant: string, subject: string): Promise<void> {
  const { rootKeys } = c.get('config')
  await limit(c.env.RATE_SUBJECT, await keyedDigest(rootKeys, { purpose: 'rate-limit', tenant }, subject))
}

/** Counts an API token whose check says little: its check key was replaced, or cannot be had. */
export async function limitUnproven(c: Ctx, tenant: string): Promise<void> {
  await limit(c.env.RATE_UNPROVEN, `tenant:${tenant}`)
}

/** Counts a stranger's request that makes the broker ask the Account whether a tenant exists: all of them together. */
export async function limitExistenceQuestions(c: Ctx): Promise<void> {
  await limit(c.env.RATE_UNPROVEN, 'existence')
}

async function limit(limiter: RateLimit, key: string): Promise<void> {
  const { success } = await limiter.limit({ key })
  if (!success) throw new BrokerError('rate_limited', { retryAfterSeconds: RETRY_AFTER_SECONDS })
}

/** IPv4: the address. IPv6: its /64, the block of one household or machine, and its /48, the block of one site. */
export function addressBlocks(address: string): { block: string; site: string | undefined } {
  if (!address.includes(':')) return { block: address, site: undefined }
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1]) return { block: mapped[1], site: undefined }
  const [head = '', tail] = address.toLowerCase().split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length)
  const groups = [...first, ...Array<string>(zeros).fill('0'), ...last].map((group) => group.replace(/^0+(?=.)/, ''))
  return { block: `${groups.slice(0, 4).join(':')}::/64`, site: `${groups.slice(0, 3).join(':')}::/48` }
}
