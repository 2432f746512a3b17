/** Lists with a filter look at 2,000 rows a call: a page may be empty and have a cursor, and the pages together are complete. */
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { fillTenant, idOf } from '../support/growth/fill.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { type Issuer, newIssuer } from '../support/tenants/issuing.ts'

async function filled(): Promise<Issuer> {
  passTime(MINUTE_MS)
  const acme = await newIssuer()
  await fillTenant('acme', acme.uid)
  return acme
}

/** Every page of a list, as a client reads it: until there is no cursor. */
async function pagesOf({ broker, token }: Issuer, list: string): Promise<Answer['json'][]> {
  const pages: Answer['json'][] = []
  for (let cursor = ''; ; ) {
    const answer = await broker.call('GET', `/v1/tenants/acme/${list}&limit=50${cursor}`, token)
    expectStatus(answer, 200)
    pages.push(answer.json)
    if (answer.json.nextCursor === null) return pages
    cursor = `&cursor=${encodeURIComponent(answer.json.nextCursor)}`
  }
}

const sizes = (pages: Answer['json'][]) => pages.map(({ items }) => items.length)
const idsIn = (pages: Answer['json'][]) => pages.flatMap(({ items }) => items.map(({ id }: { id: string }) => id))

describe('credentials by key', () => {
  it('Credentials of a key that minted few are found behind empty pages, each once and newest first', async () => {
    const acme = await filled()
    const other = 'f'.repeat(32)
    await tenantSql('acme', `UPDATE credentials SET key_uid = '${other}' WHERE seq IN (11, 21, 5001)`)
    const pages = await pagesOf(acme, `credentials?keyId=${other}`)
    expect(idsIn(pages)).toEqual([idOf('cr', 5001), idOf('cr', 21), idOf('cr', 11)])
    expect(sizes(pages)).toEqual([0, 0, 1, 0, 2])
  })

  it('Every live credential is on one page, also behind thousands that are revoked', async () => {
    const acme = await filled()
    await tenantSql('acme', "UPDATE credentials SET state = 'revoked' WHERE seq > 120")
    const pages = await pagesOf(acme, 'credentials?')
    expect(new Set(idsIn(pages)).size).toBe(120)
    expect(idsIn(pages)).toHaveLength(120)
  })
})

describe('credentials by subject', () => {
  it('Credentials of a subject are found at once, in pages, newest first', async () => {
    const acme = await filled()
    const subjectId = `su_${'a'.repeat(22)}`
    await tenantSql('acme', `UPDATE credentials SET subject_id = '${subjectId}' WHERE seq <= 120`)
    const pages = await pagesOf(acme, `credentials?subjectId=${subjectId}`)
    expect(sizes(pages)).toEqual([50, 50, 20])
    expect(idsIn(pages)[0]).toBe(idOf('cr', 120))
  })

  it('Credentials of a subject with more rows than are sorted are all found', async () => {
    const acme = await filled()
    const subjectId = `su_${'a'.repeat(22)}`
    await tenantSql('acme', `UPDATE credentials SET subject_id = '${subjectId}', state = 'revoked' WHERE seq <= 1500`)
    await tenantSql('acme', "UPDATE credentials SET state = 'live' WHERE seq <= 70")
    expect(idsIn(await pagesOf(acme, `credentials?subjectId=${subjectId}`))).toEqual(
      Array.from({ length: 70 }, (_, at) => idOf('cr', 70 - at)),
    )
  })
})

describe('audit events by a filter', () => {
  it('Audit events of a filter are found behind empty pages, each once and newest first', async () => {
    const acme = await filled()
    await tenantSql(
      'acme',
      "UPDATE audit_events SET action = 'ban.create', target = 'bn_' || seq WHERE seq IN (30, 40, 7000)",
    )
    const pages = await pagesOf(acme, 'audit-events?action=ban.create')
    expect(pages.flatMap(({ items }) => items.map(({ seq }: { seq: number }) => seq))).toEqual([7_000, 40, 30])
    expect(sizes(pages)).toEqual([0, 1, 0, 0, 2, 0])
  })

  it('Audit events of a filter that most meet come in full pages', async () => {
    const acme = await filled()
    const pages = await pagesOf(acme, `audit-events?subjectId=${idOf('su', 7)}`)
    expect(sizes(pages).reduce((sum, size) => sum + size, 0)).toBe(10)
    const first = await acme.broker.call(
      'GET',
      '/v1/tenants/acme/audit-events?action=credential.issue&limit=50',
      acme.token,
    )
    expect(first.json.items).toHaveLength(50)
  })
})
