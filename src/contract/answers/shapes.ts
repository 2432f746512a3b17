/**
 * Shapes that several answers share. This folder holds a zod schema for each answer type of the contract. The OpenAPI
 * document is built from them. The Worker must not import this folder: its bundle would grow.
 */
import * as z from 'zod/mini'

/**
 * A schema for an answer type of the contract. Does not compile unless the schema and the type agree in both directions.
 */
export const answerOf =
  <Answer>() =>
  <Schema extends z.ZodMiniType<Answer>>(schema: Answer extends z.output<Schema> ? Schema : never): Schema =>
    schema

/** A time as `instant` formats it: RFC 3339 in UTC with milliseconds. */
export const Timestamp = z.iso.datetime({ precision: 3 }).check(z.meta({ minLength: 24, maxLength: 24 }))

/** A time as Cloudflare formats it: RFC 3339 with any zone and precision. */
export const UpstreamTimestamp = z.iso.datetime({ offset: true }).check(z.meta({ maxLength: 64 }))

/** How many of something: a whole number from 0. */
export const Count = z.int().check(z.minimum(0))

/** A name as Cloudflare or an operator set it. Names that were set at Cloudflare may be longer than the broker's own. */
export const UpstreamName = z.string().check(z.meta({ maxLength: 65_536 }))

/** The id of a request, as in `X-Request-Id`. */
export const RequestId = z.uuid().check(z.meta({ minLength: 36, maxLength: 36 }))

/** The id of a root key, as `ROOT_KEYS` names it. */
export const RootKeyId = z.string().check(z.regex(/^[A-Za-z0-9-]{1,16}$/))

/** One page of a list. At most 100 items, newest first. */
export const pageOf = <Item extends z.ZodMiniType>(item: Item) =>
  z.strictObject({
    items: z.array(item).check(z.maxLength(100), z.describe('At most `limit` items, newest first.')),
    nextCursor: z
      .nullable(z.string().check(z.regex(/^[\x21-\x7e]{1,512}$/)))
      .check(z.describe('Send it as `cursor` for the next page. `null`: this is the last page.')),
  })
