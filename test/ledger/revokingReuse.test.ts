/** G6 for reused credentials: a right may be taken away while a stored credential is opened. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import type { Result } from '../../src/errors.ts'
import type { Tenant } from '../../src/tenant/tenant.ts'
import { tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { credentialRows, expectOutcome, type Issuer, mintsAsked, newIssuer } from '../support/tenants/issuing.ts'

const BY_OPERATOR = { requestId: 'r', caller: { kind: 'operator', name: 'token', role: 'owner' } } as const

/** Ann asks for a credential that can be reused; `happens` runs in the tick in which its opening begins. */
const whileOpening = ({ tokenId }: Issuer, happens: (object: Tenant) => Promise<Result<unknown>>) =>
  runInDurableObject(tenantStub('acme'), async (object: Tenant) => {
    const asked = object.issue({
      requestId: 'r',
      asker: { kind: 'client-token', tokenId, boundOrigin: null, credentialTtlSeconds: null },
      subject: 'ann',
      requestedTtlSeconds: null,
      keyId: null,
      origin: null,
      reuse: 'allowed',
    })
    const happened = await happens(object)
    return { happened, issued: await asked }
  })

/** A tenant whose subject ann has a credential that can be reused. */
async function newReuser(): Promise<Issuer> {
  const acme = await newIssuer()
  expectOutcome(await acme.ice(await acme.clientToken()), '201')
  return acme
}

const until = () => Date.now() + 86_400_000

describe('G6: a stored credential being opened', () => {
  it.each([
    ['its subject is banned', () => ({ subject: 'ann', until: until() })],
    ['the API token behind the client token is banned', ({ tokenId }: Issuer) => ({ tokenId, until: until() })],
  ])('G6: A stored credential is not handed out when %s while it is opened', async (_name, ban) => {
    const acme = await newReuser()
    const input = ban(acme)
    const { happened, issued } = await whileOpening(acme, (object) => object.createBan({ ...BY_OPERATOR, input }))
    expect(happened).toMatchObject({ ok: true })
    expect(issued).toMatchObject({ ok: false, failure: { code: 'subject_banned' } })
    expect(await mintsAsked()).toHaveLength(1)
  })

  it('G6: When its subject is erased while a stored credential is opened, another is minted under a new id', async () => {
    const acme = await newReuser()
    const [{ id } = {}] = await tenantSql('acme', 'SELECT id FROM subjects')
    const subjectId = String(id)
    const { happened, issued } = await whileOpening(acme, (object) =>
      object.eraseSubject({ ...BY_OPERATOR, subjectId }),
    )
    expect(happened).toMatchObject({ ok: true })
    expect(issued).toMatchObject({ ok: true, value: { source: 'minted' } })
    const subjects = await tenantSql('acme', 'SELECT id, subject FROM subjects')
    expect(subjects).toMatchObject([{ subject: 'ann' }])
    expect(subjects).not.toMatchObject([{ id: subjectId }])
    expect(await credentialRows()).toMatchObject([
      // Its job may already have run.
      { state: expect.stringMatching(/^revok/), subject_id: subjectId },
      { state: 'live', subject_id: subjects[0]?.id },
    ])
  })
})
