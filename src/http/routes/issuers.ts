/** The admin route that checks a token against the tenant's identity providers. It mints nothing, and stores nothing of the token. */
import { keySets } from '../../auth/keySets.ts'
import { checkTenantJwt, type JwtCheck } from '../../auth/tenantJwts.ts'
import type { TenantIssuer } from '../../contract/policy/issuers.ts'
import { type CheckedEntry, IssuerCheck, type IssuerCheckAnswer } from '../../contract/resources/issuerCheck.ts'
import { MAX_TOKEN_BODY_BYTES, readJson } from '../body.ts'
import { callOf, tenantOf } from '../call.ts'
import type { App } from '../context.ts'
import { upstream } from '../isolateCache.ts'
import { mount } from '../mount.ts'
import { call, tenantObject } from '../objects.ts'

const MAX_SEEN_CHARACTERS = 200

export function issuerRoutes(app: App): void {
  mount(app, 'issuerCheck', async (c) => {
    const { token } = (await readJson(c, IssuerCheck, MAX_TOKEN_BODY_BYTES)).value
    return async () => {
      const issuers = await call(tenantObject(c, tenantOf(c)).checkIssuers(callOf(c)))
      return c.json(await checked(issuers, token, Date.now()))
    }
  })
}

/** By the entry that a user's token would be checked by, then by every other one of the token's issuer. */
async function checked(issuers: readonly TenantIssuer[], token: string, now: number): Promise<IssuerCheckAnswer> {
  // Fetched now: the operator sees the provider's answer of now, and not one that is remembered.
  const keySetAt = keySets(upstream)
  const keysAt = async (url: string) => {
    const set = await keySetAt(url)
    return 'keys' in set ? set.keys : []
  }
  const viewOf = async ({ results }: JwtCheck, entry: number | null): Promise<CheckedEntry> => {
    const url = issuers[entry ?? -1]?.jwksUrl
    const set = url === undefined ? {} : await keySetAt(url)
    return {
      entry,
      rules: results.map(({ rule, reason, seen }) => ({ rule, passes: reason === null, reason, seen: textOf(seen) })),
      keySetProblem: 'problem' in set ? `The key set ${set.problem}.` : null,
    }
  }
  const by = (among: readonly TenantIssuer[]) => checkTenantJwt({ issuers: among, keysAt }, token, now)
  const first = await by(issuers)
  const issuer = first.results.find(({ rule }) => rule === 'issuer')?.seen
  const others = [...issuers.entries()].filter(([at, entry]) => at !== first.entry && entry.issuer === issuer)
  return {
    accepted: first.accepted !== null,
    subject: first.accepted?.subject ?? null,
    checked: await viewOf(first, first.entry),
    others: await Promise.all(others.map(async ([at, entry]) => viewOf(await by([entry]), at))),
  }
}

/** JSON text, so that `"5"` and `5` differ. */
function textOf(seen: unknown): string | null {
  const text = JSON.stringify(seen)
  if (text === undefined) return null
  return text.length > MAX_SEEN_CHARACTERS ? `${text.slice(0, MAX_SEEN_CHARACTERS)}…` : text
}
