/** G19: erasures outlive a restore of the tenant's storage, whatever fails on the way, and no caller is answered before. */
import { runInDurableObject } from 'cloudflare:test'
import { env } from 'cloudflare:workers'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { Account } from '../../src/account/account.ts'
import { Tenant } from '../../src/tenant/tenant.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { DAY_MS, HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { auditOf, expectProblem, tenantPath } from '../support/broker/doors.ts'
import { everythingStored, runJobs, runJobsOf } from '../support/storage/storage.ts'
import { accountSql, accountStub, tenantSql, tenantStub } from '../support/storage/tenantRows.ts'
import { giveBookmarks, keep } from '../support/storage/timeTravel.ts'
import { killObjects, newIssuer } from '../support/tenants/issuing.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

const NAME = 'alice@example.com'

/** A tenant that was kept while it knew the subject, and a while later erases it; its jobs have not run since. */
async function acmeKept() {
  const acme = await newIssuer()
  const { broker } = acme
  expectStatus(await acme.ice(await acme.clientToken(NAME)), 201)
  const search = (subject = NAME) => acme.post('/subjects/search', { subject })
  const { subjectId } = (await search()).json
  const then = await keep('acme')
  const at = new Date(Date.now()).toISOString()
  passTime(2 * MINUTE_MS)
  const erase = () => broker.call('DELETE', tenantPath('acme', `subjects/${subjectId}`), acme.token)
  const restore = async () => {
    await giveBookmarks('acme', then)
    return broker.admin('POST', '/tenants/acme/restore', { at })
  }
  return { acme, broker, then, at, search, erase, restore, subjectId: String(subjectId) }
}

type Acme = Awaited<ReturnType<typeof acmeKept>>

async function expectErased({ search, subjectId, broker }: Acme): Promise<void> {
  expectProblem(await search(), 'not_found')
  expect(await everythingStored()).not.toContain(NAME)
  expect(await auditOf(broker, 'acme', '&action=subject.erase')).toMatchObject([
    { actor: 'broker', target: subjectId, outcome: 'done' },
  ])
}

const lost = () => Promise.reject(new Error('Network connection lost.'))
const recorded = () => accountSql('SELECT tenant, subject_id, at FROM erasures')
const unreported = () => tenantSql('acme', 'SELECT subject_id FROM unreported_erasures')

/** The Account's job after a crash. */
async function resume(): Promise<void> {
  passTime(MINUTE_MS)
  await runJobsOf(accountStub())
}

describe('a subject that was erased', () => {
  it('G19: A subject that was erased is erased in the storage that a restore brings back, and its credential is revoked', async () => {
    const it = await acmeKept()
    expectStatus(await it.erase(), 204)
    await runJobs('acme')
    expect(await recorded()).toMatchObject([{ tenant: 'acme', subject_id: it.subjectId }])
    expect(await unreported()).toEqual([])
    expectStatus(await it.restore(), 200)
    await expectErased(it)
    expect(await tenantSql('acme', "SELECT 1 FROM credentials WHERE state = 'live'")).toEqual([])
  })

  it('G19: An erasure is answered while the Account is down, and a restore hands it over before it goes back', async () => {
    const it = await acmeKept()
    const record = vi.spyOn(Account.prototype, 'recordErasures').mockImplementation(lost)
    expectStatus(await it.erase(), 204)
    await runJobs('acme')
    expect(await recorded()).toEqual([])
    expect(await unreported()).toHaveLength(1)

    // While it cannot be handed over, nothing is set back, and the tenant goes on.
    expectProblem(await it.restore(), 'storage_failed')
    expectProblem(await it.search(), 'not_found')
    record.mockRestore()
    expectStatus(await it.restore(), 200)
    await expectErased(it)
  })

  it('G19: An erasure between the order of a restore and the restore is kept, and one that comes later is not answered', async () => {
    const it = await acmeKept()
    const { bookmarksAt } = Tenant.prototype
    const { recordErasures } = Account.prototype
    const answers: number[] = []
    vi.spyOn(Tenant.prototype, 'bookmarksAt').mockImplementation(async function (this: Tenant, time) {
      const bookmarks = await bookmarksAt.call(this, time)
      answers.push((await it.erase()).status)
      return bookmarks
    })
    // The tenant hands the erasure over when it is about to go back.
    vi.spyOn(Account.prototype, 'recordErasures').mockImplementation(async function (this: Account, id, erasures) {
      answers.push((await it.search('bob')).status)
      return recordErasures.call(this, id, erasures)
    })
    expectStatus(await it.restore(), 200)
    expect(answers.slice(0, 2)).toEqual([204, 503])
    await expectErased(it)
  })

  it('G19: A second restore, to the moment at which the first had brought the name back, erases the subject too', async () => {
    const it = await acmeKept()
    expectStatus(await it.erase(), 204)
    await runJobs('acme')
    passTime(20 * DAY_MS)
    expectStatus(await it.restore(), 200)
    await runJobs('acme')
    // More than 31 days after the erasure, and 20 after it was repeated.
    passTime(20 * DAY_MS)
    await runJobsOf(accountStub())
    expectStatus(await it.restore(), 200)
    await expectErased(it)
  })

  it('G19: Hundreds of erasures are repeated page by page, and the other subjects stay', async () => {
    const it = await acmeKept()
    const id = (n: number) => `su_${String(n).padStart(22, '0')}`
    const numbers = [...Array(450).keys()]
    await runInDurableObject(tenantStub('acme'), (_, { storage }) => {
      const row = 'INSERT INTO subjects (id, subject, used_at) VALUES (?, ?, 0)'
      for (const n of numbers) storage.sql.exec(row, id(n), `name ${n}`)
    })
    const many = await keep('acme')
    for (let page = 0; page < 450; page += 150) {
      const erasures = numbers.slice(page, page + 150).map((n) => ({ subjectId: id(n), at: Date.now() }))
      await accountStub().recordErasures('acme', erasures)
    }
    const again = vi.spyOn(Tenant.prototype, 'eraseAgain')
    await giveBookmarks('acme', many)
    expectStatus(await it.broker.admin('POST', '/tenants/acme/restore', { at: it.at }), 200)
    expect(again).toHaveBeenCalledTimes(3)
    expect(await tenantSql('acme', 'SELECT subject FROM subjects')).toEqual([{ subject: NAME }])
    // The report goes in pages too.
    expect(await unreported()).toHaveLength(450)
    for (let run = 0; run < 3; run++) await runJobs('acme')
    expect(await unreported()).toEqual([])
  })

  it('G19: The Account forgets an erasure after 31 days, when no restore can bring the name back', async () => {
    const it = await acmeKept()
    expectStatus(await it.erase(), 204)
    await runJobs('acme')
    passTime(31 * DAY_MS - HOUR_MS)
    await runJobsOf(accountStub())
    expect(await recorded()).toHaveLength(1)
    passTime(2 * HOUR_MS)
    await runJobsOf(accountStub())
    await runJobsOf(accountStub())
    expect(await recorded()).toEqual([])
    expect(await accountSql("SELECT 1 FROM jobs WHERE kind = 'forget-erasures'")).toEqual([])
  })
})

describe('a restore that is interrupted', () => {
  const steps = [
    ['before the storage is set back', 'setBack', lost],
    ['before the erasures are repeated', 'eraseAgain', lost],
    ['before the tenant has come back', 'comeBack', lost],
  ] as const

  it.each(steps)('G19: A restore that is interrupted %s brings no name back', async (_, step, broken) => {
    const it = await acmeKept()
    expectStatus(await it.erase(), 204)
    const spied = vi.spyOn(Tenant.prototype, step).mockImplementation(broken)
    const answer = await it.restore()
    expect(answer.status).toBe(503)
    if (step !== 'setBack') {
      // Set back, and not finished: with the name there, and no caller answered, also after another crash.
      await killObjects()
      for (const each of [await it.search(), await it.erase(), await it.acme.generate()]) expect(each.status).toBe(503)
      expect((await tenantSql('acme', 'SELECT status FROM tenant'))[0]).toEqual({ status: 'active' })
    }
    spied.mockRestore()
    await resume()
    expectProblem(await it.search(), 'not_found')
    expect(await everythingStored()).not.toContain(NAME)
    expect((await it.broker.admin('GET', '/tenants/acme')).json.status).toBe(
      step === 'setBack' ? 'active' : 'suspended',
    )
  })

  it('G19: A restore whose Account ended between two pages is done again from the first page', async () => {
    const it = await acmeKept()
    expectStatus(await it.erase(), 204)
    await runJobs('acme')
    const { eraseAgain } = Tenant.prototype
    const spied = vi.spyOn(Tenant.prototype, 'eraseAgain').mockImplementation(async function (this: Tenant, ids) {
      await eraseAgain.call(this, ids)
      return lost()
    })
    expectProblem(await it.restore(), 'storage_failed')
    await killObjects()
    expect((await it.search()).status).toBe(503)
    spied.mockRestore()
    await resume()
    await expectErased(it)
  })
})

describe('the gate of a restore', () => {
  it('An object that starts asks the Account once whether it is being restored, unless a caller was there a moment ago', async () => {
    const { search } = await acmeKept()
    const asked = vi.spyOn(Account.prototype, 'isBeingRestored')
    await killObjects()
    expectStatus(await search(), 200)
    expectStatus(await search(), 200)
    expect(asked).toHaveBeenCalledTimes(1)

    const acme = await newIssuer({}, 'globex')
    await killObjects()
    expectStatus(await acme.generate(), 201)
    expect(asked).toHaveBeenCalledTimes(1)
  })

  it('While the Account is down, an object that starts answers its callers', async () => {
    const { search } = await acmeKept()
    vi.spyOn(Account.prototype, 'isBeingRestored').mockImplementation(lost)
    await killObjects()
    expectStatus(await search(), 200)
  })

  it('A restore to a time less than a minute ago is refused', async () => {
    const { broker } = await acmeKept()
    const at = new Date(Date.now() - MINUTE_MS / 2).toISOString()
    expectProblem(
      await broker.call('POST', '/v1/admin/tenants/acme/restore', env.ADMIN_TOKEN, { at }),
      'invalid_request',
    )
  })
})
