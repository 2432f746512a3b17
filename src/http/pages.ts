/** Pagination: `?limit=1..100&cursor=`. A cursor is sealed and opens only for its tenant, route and filter. */
import type { RouteName } from '../contract/routes.ts'
import { open, type Place, seal } from '../crypto/seal.ts'
import { BrokerError } from '../errors.ts'
import type { Ctx } from './context.ts'

const DEFAULT_LIMIT = 50
const MAX_LIMIT = 100

export interface PageRequest {
  readonly limit: number
  /** Sequence number of the last item on the previous page; `null`: first page. */
  readonly before: number | null
}

/** `filter`: the list's filter as text. A cursor opens only with the same filter. */
export async function readPage(c: Ctx, route: RouteName, filter = ''): Promise<PageRequest> {
  return {
    limit: readLimit(c.req.query('limit')),
    before: await readCursor(c, `${route} ${filter}`, c.req.query('cursor')),
  }
}

export async function writePage<T>(
  c: Ctx,
  route: RouteName,
  page: { readonly items: T[]; readonly next: number | null },
  filter = '',
): Promise<{ items: T[]; nextCursor: string | null }> {
  const nextCursor =
    page.next === null ? null : await seal(c.get('config').rootKeys, place(c, `${route} ${filter}`), String(page.next))
  return { items: page.items, nextCursor }
}

function readLimit(text: string | undefined): number {
  if (text === undefined) return DEFAULT_LIMIT
  const limit = /^[1-9]\d{0,2}$/.test(text) ? Number(text) : 0
  if (limit < 1 || limit > MAX_LIMIT)
    throw new BrokerError('invalid_request', { detail: `limit: must be 1 to ${MAX_LIMIT}` })
  return limit
}

async function readCursor(c: Ctx, list: string, cursor: string | undefined): Promise<number | null> {
  if (cursor === undefined) return null
  const text = cursor.length > 512 ? undefined : await open(c.get('config').rootKeys, place(c, list), cursor)
  if (text === undefined)
    throw new BrokerError('invalid_request', {
      detail: 'cursor: must be a nextCursor of this list with the same filter',
    })
  return Number(text)
}

const place = (c: Ctx, list: string): Place => ({
  purpose: 'page-cursor',
  tenant: c.get('tenant') ?? '',
  record: list,
  version: 1,
})
