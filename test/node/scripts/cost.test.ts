// The bill: amounts of counted operations, list prices, what a month includes, and the committed page.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { amountsOf, type Counts, month, sampled, sumOf, usdPerMillion } from '../../../scripts/cost/bill.ts'
import { page } from '../../../scripts/cost/page.ts'

const root = path.join(import.meta.dirname, '../../..')
const costs = JSON.parse(readFileSync(path.join(root, 'docs/measured/cost-counts.json'), 'utf8'))

const NONE: Counts = {
  statements: 0,
  rowsRead: 0,
  rowsWritten: 0,
  alarmsSet: 0,
  commits: 0,
  rpcs: 0,
  kvReads: 0,
  kvWrites: 0,
  upstreamCalls: 0,
  logEvents: 0,
}
const AMOUNTS = amountsOf(
  {
    request: { ...NONE, rowsRead: 20, rowsWritten: 9, rpcs: 1, kvReads: 1, logEvents: 1 },
    later: { ...NONE, rowsRead: 10, rowsWritten: 2, alarmsSet: 1 },
  },
  { cpuMs: 2, objectMs: 100 },
)

describe('the bill', () => {
  it('An operation is billed over its whole life, an alarm as a row written and a request of the object', () => {
    expect(AMOUNTS).toEqual({
      workerRequests: 1,
      workerCpuMs: 2,
      objectRequests: 2,
      objectGbSeconds: 0.0128,
      rowsRead: 30,
      rowsWritten: 12,
      kvReads: 1,
      kvWrites: 0,
      logEvents: 1,
    })
    // 0.30 request, 0.04 processor, 0.30 object, 0.16 duration, 0.03 read, 12 written, 0.50 KV, 0.60 log
    expect(usdPerMillion(AMOUNTS)).toBeCloseTo(13.93, 6)
    expect(usdPerMillion(sampled(AMOUNTS, 0.01))).toBeCloseTo(13.336, 6)
  })

  it('A month costs the plan alone while all is included, and then what is above it', () => {
    expect(month(sumOf([[1_000, AMOUNTS]]), 0)).toEqual({ usd: 5, most: undefined })
    // 36 million rows written of 50 are included; 6 million requests of the object, of which 1 is.
    expect(month(sumOf([[100_000, AMOUNTS]]), 10)).toEqual({ usd: 5 + 5 * 0.15 + 5 * 0.2, most: 'objectRequests' })
    const large = month(sumOf([[1e6, AMOUNTS]]), 0)
    expect(large.most).toBe('rowsWritten')
    expect(large.usd).toBeGreaterThan(310)
  })

  it('The page refuses counts of an operation that it does not show', () => {
    expect(() => page({ ...costs, another: costs.lookUp })).toThrow('another')
  })

  it('docs/measured/cost.md is what docs/measured/cost-counts.json comes to', () => {
    expect(() => execFileSync('node', ['scripts/cost.ts', '--check'], { cwd: root, stdio: 'pipe' })).not.toThrow()
  })
})
