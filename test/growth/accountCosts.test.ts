/** G15: what each RPC of the Account reads and writes with 10^4 tombstones, keys, issuers and creations. */
import { expect, it, onTestFinished } from 'vitest'
import type { Call } from '../../src/rpc/calls.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { type CostRow, methodsOf, offencesOf, watchCalls } from '../support/growth/costs.ts'
import { fillAccount } from '../support/growth/fill.ts'
import { accountSql, accountStub } from '../support/storage/tenantRows.ts'
import { giveBookmarks, keep } from '../support/storage/timeTravel.ts'
import { newIssuer } from '../support/tenants/issuing.ts'

/** What the Worker found out of the policy. */
const PREPARED = { warnings: [], refusal: undefined }
const LOOKS = 2_001
const BY: Call = { caller: { kind: 'operator', name: 'token', role: 'owner' }, requestId: 'r' }
const SPENDING = { tenant: 'acme', limit: 60, purpose: 'tenant' } as const
const RATE = { refused: false, retryAfterSeconds: undefined, rate: { remaining: 700, resetSeconds: 60 } } as const

async function newTable(): Promise<readonly CostRow[]> {
  passTime(MINUTE_MS)
  const acme = await newIssuer()
  const object = () => accountStub()
  await fillAccount()
  const [{ version } = {}] = await accountSql("SELECT version FROM tenants WHERE id = 'acme'")
  const share = (claim: string) => ({ issuer: 'https://idp.example', claim, value: 'a' })
  const report = {
    id: 'acme',
    name: 'new',
    status: 'active',
    version: Number(version) + 1,
    issuers: [],
    rootKeys: ['k1'],
  } as const
  const tenant = { id: 'globex', name: 'Globex', region: 'weur' } as const
  return [
    { of: 'isTenant', run: () => object().isTenant('acme') },
    { of: 'listTenants', run: () => object().listTenants({ before: null, limit: 50 }) },
    {
      of: 'createTenant',
      rows: 5,
      run: () => object().createTenant({ ...BY, ...PREPARED, tenant, idempotency: undefined }),
    },
    {
      of: 'createTenant',
      case: 'with an Idempotency-Key',
      rows: 5,
      run: () =>
        object().createTenant({
          ...BY,
          ...PREPARED,
          tenant: { ...tenant, id: 'initech' },
          idempotency: { key: 'new', bodyHash: 'k1.x' },
        }),
    },
    { of: 'reportTenant', rows: 3, run: () => object().reportTenant(report) },
    { of: 'recordErasures', rows: 2, run: () => object().recordErasures('acme', [{ subjectId: 'su_1', at: 1 }]) },
    { of: 'isBeingRestored', run: () => object().isBeingRestored('acme') },
    { of: 'claimIssuers', run: () => object().claimIssuers('acme', [share('aud')]) },
    { of: 'claimIssuers', case: 'of a client', run: () => object().claimIssuers('acme', [share('azp')]) },
    { of: 'claimTurnKey', rows: 2, run: () => object().claimTurnKey('another', 'acme') },
    { of: 'releaseTurnKey', run: () => object().releaseTurnKey('another', 'acme') },
    { of: 'turnKeyOwner', run: () => object().turnKeyOwner(acme.uid) },
    { of: 'spend', rows: 3, run: () => object().spend({ ...SPENDING, intent: 'intent' }) },
    { of: 'giveBack', run: () => object().giveBack(SPENDING) },
    { of: 'observe', run: () => object().observe(RATE) },
    { of: 'describe', run: () => object().describe() },
    { of: 'orderSweep', rows: 3, run: () => object().orderSweep(BY) },
    { of: 'listAuditEvents', rows: 50, run: () => object().listAuditEvents({ before: null, limit: 50, filter: {} }) },
    {
      of: 'listAuditEvents',
      case: 'with a filter that meets nothing',
      looks: LOOKS,
      run: () => object().listAuditEvents({ before: null, limit: 50, filter: { action: 'none' } }),
    },
    { of: 'markedTurnKeys', rows: 2, run: () => object().markedTurnKeys('tb.test.x', 0) },
    { of: 'orderReseal', rows: 10, run: () => object().orderReseal({ ...BY, to: 'k1' }) },
    { of: 'resealProgress', run: () => object().resealProgress() },
    { of: 'checkKeys', run: () => object().checkKeys() },
    { of: 'checkKeysForEdge', run: () => object().checkKeysForEdge() },
    { of: 'describeTokenCheck', run: () => object().describeTokenCheck() },
    { of: 'replaceCheckKey', rows: 3, run: () => object().replaceCheckKey(BY) },
    { of: 'rootKeysInUse', run: () => object().rootKeysInUse() },
    { of: 'neededRootKeys', run: () => object().neededRootKeys() },
    {
      of: 'restoreTenant',
      rows: 20,
      before: async () => giveBookmarks('acme', await keep('acme')),
      run: () => object().restoreTenant({ ...BY, tenant: 'acme', at: Date.now() - 120_000 }),
    },
    { of: 'markTenantDeleted', rows: 10, run: () => object().markTenantDeleted('globex') },
  ]
}

it('G15: No RPC of the Account reads or writes more rows than follow from what it returns or changes', async () => {
  const { called, stop } = watchCalls()
  onTestFinished(stop)
  const table = await newTable()
  expect(await offencesOf(table)).toEqual([])
  const methods = methodsOf('Account')
  expect([...new Set(table.map(({ of }) => of))].sort()).toEqual(methods)
  expect(methods.filter((method) => !called.has(`Account.${method}`))).toEqual([])
}, 120_000)
