/** Rate limits per address block, tenant and subject: approximate, per Cloudflare location. The Tenant has exact ones. */
import { keyedDigest } from '../../crypto/mac.ts'
import { BrokerError } from '../../errors.ts'
import type { Ctx } from '../context.ts'

/** The limiters count in windows of 60 s and do not report when a window ends. */
const RETRY_AFTER_SECONDS = 30

export async function limitAddress(c: Ctx): Promise<void> {
  const block = addressBlock(c.req.header('CF-Connecting-IP') ?? '')
  await limit(c.env.RATE_IP, block)
}

export async function limitTenant(c: Ctx, tenant: string): Promise<void> {
  await limit(c.env.RATE_TENANT, tenant)
}

/** `subject` as the tenant names it. The limiter is given a keyed hash: no name leaves the broker. */
export async function limitSubject(c: Ctx, tenant: string, subject: string): Promise<void> {
  const { rootKeys } = c.get('config')
  await limit(c.env.RATE_SUBJECT, await keyedDigest(rootKeys, { purpose: 'rate-limit', tenant }, subject))
}

async function limit(limiter: RateLimit, key: string): Promise<void> {
  const { success } = await limiter.limit({ key })
  if (!success) throw new BrokerError('rate_limited', { retryAfterSeconds: RETRY_AFTER_SECONDS })
}

/** The unit that is limited: an IPv4 address, or an IPv6 /64, which is the block of one household or machine. */
export function addressBlock(address: string): string {
  if (!address.includes(':')) return address
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)
  if (mapped?.[1]) return mapped[1]
  const [head = '', tail] = address.toLowerCase().split('::')
  const first = head === '' ? [] : head.split(':')
  const last = tail === undefined || tail === '' ? [] : tail.split(':')
  const zeros = tail === undefined ? 0 : Math.max(0, 8 - first.length - last.length)
  const groups = [...first, ...Array<string>(zeros).fill('0'), ...last].slice(0, 4)
  return `${groups.map((group) => group.replace(/^0+(?=.)/, '')).join(':')}::/64`
}
