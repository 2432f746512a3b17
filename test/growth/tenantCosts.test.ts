/** G15: what each RPC of the Tenant reads and writes on an object with 10^4 rows in every table that grows. */
import { runInDurableObject } from 'cloudflare:test'
import { expect, it, onTestFinished } from 'vitest'
import type { Call } from '../../src/rpc/calls.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { plantedKey } from '../support/broker/upstream.ts'
import { type CostRow, methodsOf, offencesOf, watchCalls } from '../support/growth/costs.ts'
import { fillTenant, idOf, ROWS } from '../support/growth/fill.ts'
import { tenantSql, tenantStub } from '../support/storage/tenantRows.ts'
import { giveBookmarks, keep } from '../support/storage/timeTravel.ts'
import { expectOutcome, killObjects, newIssuer } from '../support/tenants/issuing.ts'

/** What a list with a filter may look at in one call, twice: the rows, and those of the page. */
const LOOKS = 2_001
const BY: Call = { caller: { kind: 'operator', name: 'token', role: 'owner' }, requestId: 'r' }
const PAGE = { ...BY, before: null, limit: 50 }
const NO_KEY = { idempotency: undefined, attempt: undefined }

async function newTable(): Promise<readonly CostRow[]> {
  passTime(MINUTE_MS)
  const acme = await newIssuer({ maxLiveCredentials: 1_000_000, maxTurnKeys: 20, maxApiCallsPer5Min: 600 })
  const object = () => tenantStub('acme')
  await fillTenant('acme', acme.uid)
  const mint = async (subject: string) => expectOutcome(await acme.generate({ customIdentifier: subject }), '201')
  const first = async (sql: string) => String((await tenantSql('acme', sql))[0]?.id)
  const setUp = { id: 'acme', name: 'Tenant acme', region: 'weur', policy: {}, createdAt: 0 } as const
  let made = ''
  const create = async () => {
    const created = await object().createTurnKey({ ...BY, ...NO_KEY, name: 'another' })
    if (created.ok) made = created.value.uid
    return created
  }
  const clientToken = () => acme.clientToken('ann')

  return [
    {
      of: 'issue',
      case: 'the first after the object has started',
      before: killObjects,
      rows: 10,
      run: () => mint('ann'),
    },
    { of: 'issue', case: 'a known subject', run: () => mint('ann') },
    { of: 'issue', case: 'a new subject', run: () => mint('bob') },
    { of: 'init', run: () => object().init(setUp) },
    { of: 'describe', run: () => object().describe({ ...BY, scope: 'tenant:read' }) },
    { of: 'patch', run: () => object().patch({ ...BY, patch: { name: 'other' }, ifMatch: undefined }) },
    { of: 'authorize', run: () => object().authorize({ ...BY, scope: 'tenant:read' }) },
    { of: 'checkIssuers', run: () => object().checkIssuers(BY) },
    {
      of: 'noteRefusedJwt',
      run: () => object().noteRefusedJwt({ issuer: 'i', reason: 'expired', requestId: 'r', origin: null }),
    },
    { of: 'edgeSnapshot', run: () => object().edgeSnapshot() },
    {
      of: 'createApiToken',
      run: () => object().createApiToken({ ...BY, input: { name: 'n', scopes: [] }, ...NO_KEY }),
    },
    { of: 'listApiTokens', rows: 2, run: () => object().listApiTokens(PAGE) },
    {
      of: 'rollApiToken',
      run: async () =>
        object().rollApiToken({
          ...BY,
          tokenId: await first('SELECT id FROM api_tokens ORDER BY seq DESC LIMIT 1'),
          overlapSeconds: 0,
        }),
    },
    { of: 'createClientToken', run: clientToken },
    {
      of: 'createTurnKey',
      case: 'with an Idempotency-Key',
      run: () =>
        object().createTurnKey({
          ...BY,
          name: 'n',
          idempotency: { key: 'key-new', bodyHash: 'k1.x' },
          attempt: undefined,
        }),
      rows: 3,
    },
    { of: 'createTurnKey', run: create, rows: 3 },
    { of: 'listTurnKeys', run: () => object().listTurnKeys(BY), rows: 3 },
    { of: 'lookUpTurnKey', run: () => object().lookUpTurnKey({ ...BY, uid: made }) },
    { of: 'renameTurnKey', run: () => object().renameTurnKey({ ...BY, uid: made, name: 'new' }), rows: 2 },
    {
      of: 'rotateTurnKey',
      run: () => object().rotateTurnKey({ ...BY, ...NO_KEY, uid: made, revoke: false }),
      rows: 8,
    },
    { of: 'answered', run: () => object().answered('r') },
    {
      of: 'importTurnKey',
      run: async () => object().importTurnKey({ ...BY, ...NO_KEY, input: { ...(await plantedKey('x')), name: 'x' } }),
      rows: 5,
    },
    { of: 'examineKeys', run: () => object().examineKeys({ keys: [], listedAt: Date.now(), checks: 0 }), rows: 5 },
    {
      of: 'removeTurnKey',
      rows: 3,
      before: create,
      run: () => object().removeTurnKey({ ...BY, uid: made }),
    },
    { of: 'listCredentials', rows: 50, run: () => object().listCredentials({ ...PAGE, subjectId: null, keyId: null }) },
    {
      of: 'listCredentials',
      case: 'of a subject',
      rows: 50,
      run: () => object().listCredentials({ ...PAGE, subjectId: idOf('su', 1), keyId: null }),
    },
    {
      of: 'listCredentials',
      case: 'of a key that minted none',
      looks: LOOKS,
      run: () => object().listCredentials({ ...PAGE, subjectId: null, keyId: 'no key' }),
    },
    { of: 'listAuditEvents', rows: 50, run: () => object().listAuditEvents({ ...PAGE, filter: {} }) },
    {
      of: 'listAuditEvents',
      case: 'with a filter that meets nothing',
      looks: LOOKS,
      run: () => object().listAuditEvents({ ...PAGE, filter: { subjectId: 'none' } }),
    },
    {
      of: 'createRevocation',
      case: 'of a subject',
      rows: 10,
      run: () => object().createRevocation({ ...BY, input: { subject: 'subject 1' }, idempotency: undefined }),
      ...(ROWS > 10_000 ? { rows: ROWS / 1_000 } : {}),
    },
    {
      of: 'createRevocation',
      case: 'of a credential, with an Idempotency-Key',
      rows: 3,
      run: () =>
        object().createRevocation({
          ...BY,
          input: { credentialId: idOf('cr', 7) },
          idempotency: { key: 'key-revocation', bodyHash: 'k1.x' },
        }),
    },
    {
      of: 'createRevocation',
      case: 'of everything',
      rows: 2,
      run: () => object().createRevocation({ ...BY, input: { all: true }, idempotency: undefined }),
    },
    { of: 'getRevocation', run: () => object().getRevocation({ ...BY, id: idOf('rv', 5) }) },
    {
      of: 'createBan',
      rows: 2,
      run: () => object().createBan({ ...BY, input: { subject: 'carol', until: Date.now() + MINUTE_MS } }),
    },
    { of: 'listBans', rows: 50, run: () => object().listBans(PAGE) },
    { of: 'liftBan', run: () => object().liftBan({ ...BY, id: idOf('bn', 2) }) },
    { of: 'searchSubject', run: () => object().searchSubject({ ...BY, subject: 'subject 5' }) },
    {
      of: 'eraseSubject',
      rows: ROWS / 1_000,
      run: () => object().eraseSubject({ ...BY, subjectId: idOf('su', 5) }),
    },
    { of: 'eraseAgain', rows: ROWS / 1_000, run: () => object().eraseAgain([idOf('su', 6)]) },
    {
      of: 'revokeByUsername',
      rows: 3,
      run: async () => {
        await mint('dave')
        const username = String(
          (await tenantSql('acme', 'SELECT username FROM credentials ORDER BY seq DESC LIMIT 1'))[0]?.username,
        )
        return object().revokeByUsername({ ...BY, uid: acme.uid, username })
      },
    },
    { of: 'reseal', rows: 200, run: () => object().reseal({ number: 1, to: 'k1', limit: 200 }) },
    {
      of: 'deleteApiToken',
      run: async () =>
        object().deleteApiToken({ ...BY, tokenId: await first('SELECT id FROM api_tokens ORDER BY seq DESC LIMIT 1') }),
    },
    {
      of: 'bookmarksAt',
      before: async () => giveBookmarks('acme', await keep('acme')),
      run: () => object().bookmarksAt(Date.now() - 120_000),
    },
    {
      of: 'setBack',
      before: () =>
        runInDurableObject(object(), (_, { storage }) => {
          Object.assign(storage, { onNextSessionRestoreBookmark: async () => 'now' })
        }),
      run: () =>
        object()
          .setBack('at')
          .catch(() => undefined),
    },
    { of: 'comeBack', rows: 3, run: () => object().comeBack({ by: BY, version: 9 }) },
    {
      of: 'beginDeletion',
      rows: 20,
      run: () => object().beginDeletion({ ...BY, cascade: true }),
    },
  ]
}

it('G15: No RPC of the Tenant reads or writes more rows than follow from what it returns or changes', async () => {
  const { called, stop } = watchCalls()
  onTestFinished(stop)
  const table = await newTable()
  expect(await offencesOf(table)).toEqual([])
  const methods = methodsOf('Tenant')
  expect([...new Set(table.map(({ of }) => of))].sort()).toEqual(methods)
  expect(methods.filter((method) => !called.has(`Tenant.${method}`))).toEqual([])
}, 120_000)
