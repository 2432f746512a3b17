/** G8: the counts that an object reads when it starts are those of the ledger, whatever happened between two of its commits. */
import { runInDurableObject } from 'cloudflare:test'
import { describe, expect, it } from 'vitest'
import { countLedger } from '../../src/tenant/ledger/counts.ts'
import { LiveCounts } from '../../src/tenant/memory/liveCounts.ts'
import { expectStatus, newTurnKey } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { fillLedger } from '../support/storage/largeLedger.ts'
import { meterSql } from '../support/storage/sqlMeter.ts'
import { runJobs, tenantStub } from '../support/storage/storage.ts'
import { tenantSql } from '../support/storage/tenantRows.ts'
import { type Issuer, killObjects, newIssuer } from '../support/tenants/issuing.ts'

const ROUNDS = 60

/** A small generator with a seed (xorshift32), so that a failure can be repeated. */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

interface Counts {
  total: { live: number; revoking: number }
  byKey: { live: number; revoking: number }[]
}

/** What an object that starts now would count, and what the rows say when all of them are read. */
const bothCounts = (keys: readonly string[]): Promise<{ loaded: Counts; recounted: Counts }> =>
  runInDurableObject(tenantStub('acme'), (_, { storage: { sql } }) => {
    const now = Date.now()
    const live = new LiveCounts()
    live.load(() => countLedger(sql, now), now)
    const bulk = sql.exec('SELECT key_uid, until_seq FROM bulk_revocations').toArray()
    const count = (uid: string | null) => {
      const sum = { live: 0, revoking: 0 }
      for (const row of sql.exec('SELECT seq, key_uid, state, expires_at FROM credentials')) {
        if (Number(row.expires_at) <= now || row.state === 'revoked' || (uid !== null && row.key_uid !== uid)) continue
        const taken = bulk.some(
          (b) => (b.key_uid === '' || b.key_uid === row.key_uid) && Number(row.seq) <= Number(b.until_seq),
        )
        sum[row.state === 'live' && !taken ? 'live' : 'revoking']++
      }
      return sum
    }
    return {
      loaded: { total: live.all(now), byKey: keys.map((uid) => live.ofKey(uid, now)) },
      recounted: { total: count(null), byKey: keys.map(count) },
    }
  })

/** Rows of the ledger are numbered from 1 and none is left out. */
const everIssued = async (): Promise<number> =>
  Number(
    (
      await tenantSql(
        'acme',
        'SELECT max(seq) AS last FROM (SELECT seq FROM credentials UNION ALL SELECT seq FROM ledger_checkpoint)',
      )
    )[0]?.last ?? 0,
  )

async function step(acme: Issuer, keys: readonly string[], below: (n: number) => number): Promise<string> {
  const key = keys[below(keys.length)] ?? ''
  switch (below(8)) {
    case 0:
    case 1:
    case 2: {
      const subject = `s${below(4)}`
      const path = `/v1/turn/keys/${key}/credentials/generate`
      await acme.broker.call('POST', path, acme.token, { ttl: 60 + below(7_200), customIdentifier: subject })
      return `mint for ${subject}`
    }
    case 3:
      await acme.post('/revocations', { subject: `s${below(4)}` })
      return 'revoke a subject'
    case 4:
      await acme.post('/revocations', below(3) === 0 ? { all: true } : { keyId: key })
      return 'revoke a key or all'
    case 5:
      await runJobs('acme')
      return 'run the jobs'
    case 6:
      passTime(below(20) * MINUTE_MS)
      return 'pass time'
    default:
      await killObjects()
      return 'restart'
  }
}

describe('G8: stored counts', () => {
  it.each([1, 7, 1_234])(
    'G8: Stored counts are those of the ledger after every step of a random life (seed %i)',
    async (seed) => {
      const below = numbers(seed)
      const acme = await newIssuer({ maxTtl: 14_400, maxLiveCredentials: 100_000 })
      const keys = [acme.uid, await newTurnKey(acme.broker, acme)]
      passTime(2 * MINUTE_MS)
      await fillLedger('acme', { keys, count: 700, expiresAt: Date.now() + 20 * MINUTE_MS })
      await emulator.fault({ operation: 'revoke', fault: { kind: 'status', status: 500 }, times: 5 })
      const steps: string[] = []
      for (let round = 0; round < ROUNDS; round++) {
        steps.push(await step(acme, keys, below))
        const { loaded, recounted } = await bothCounts(keys)
        expect(loaded, steps.join(', ')).toEqual(recounted)
        // The object that lives counts the same as one that starts.
        const self = await acme.broker.call('GET', '/v1/tenants/acme', acme.token)
        expectStatus(self, 200)
        expect(self.json.counts.liveCredentials, steps.join(', ')).toBe(recounted.total.live)
        // What was issued is never counted twice or lost, though it is stored with the checkpoint only.
        const issued = self.json.usage.reduce((sum: number, day: { issued: number }) => sum + day.issued, 0)
        expect(issued, steps.join(', ')).toBe(await everIssued())
      }
    },
  )

  it('G15: The first mint after a start reads the stored counts and the rows after them, and not the ledger', async () => {
    const acme = await newIssuer({ maxLiveCredentials: 100_000 })
    passTime(2 * MINUTE_MS)
    expectStatus(await acme.generate({ ttl: 3_600 }), 201)
    await fillLedger('acme', { keys: [acme.uid], count: 5_000, expiresAt: Date.now() + 3 * HOUR_MS })
    expectStatus(await acme.generate({ ttl: 3_600 }), 201)
    passTime(2 * HOUR_MS)
    await runJobs('acme')
    await killObjects()
    const meter = await runInDurableObject(tenantStub('acme'), (_, { storage }) =>
      meterSql(storage.sql, 'of this object'),
    )
    expectStatus(await acme.generate({ ttl: 3_600 }), 201)
    const { rowsRead } = await runInDurableObject(tenantStub('acme'), () => meter.stop())
    expect(rowsRead).toBeLessThan(60)
    const { loaded, recounted } = await bothCounts([acme.uid])
    expect(loaded).toEqual(recounted)
    expect(loaded.total.live).toBe(5_001)
  })

  it('G15: After 2,000 new rows the counts are stored, so that a start never reads more', async () => {
    const acme = await newIssuer({ maxLiveCredentials: 100_000 })
    passTime(2 * MINUTE_MS)
    await fillLedger('acme', { keys: [acme.uid], count: 1_999, expiresAt: Date.now() + 3 * HOUR_MS })
    expectStatus(await acme.generate(), 201)
    expect(await tenantSql('acme', 'SELECT * FROM ledger_checkpoint')).toEqual([])
    expectStatus(await acme.generate(), 201)
    await runJobs('acme')
    expect(await tenantSql('acme', 'SELECT seq FROM ledger_checkpoint')).toEqual([{ seq: 2_001 }])
  })

  it('G15: Counts that could not be stored after 2,000 new rows are stored 500 rows later', async () => {
    const acme = await newIssuer({ maxLiveCredentials: 100_000 })
    passTime(2 * MINUTE_MS)
    await fillLedger('acme', { keys: [acme.uid], count: 2_499, expiresAt: Date.now() + 3 * HOUR_MS })
    for (let n = 0; n < 2; n++) expectStatus(await acme.generate(), 201)
    await runJobs('acme')
    expect(await tenantSql('acme', 'SELECT seq FROM ledger_checkpoint')).toEqual([{ seq: 2_501 }])
  })
})
