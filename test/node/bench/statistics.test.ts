// The figures of the benchmark: medians, ratios within a round, spread, verdict, plot and table.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { interleaved } from '../../../bench/load/drive.ts'
import { median, ratios, summarize, verdict } from '../../../bench/load/statistics.ts'
import { plot } from '../../../bench/report/plot.ts'
import { shippedRates, toLine } from '../../../bench/report/result.ts'
import { bar, figure, spread } from '../../../bench/report/table.ts'
import { EXPERIMENTS, experimentsFor, ROWS } from '../../../bench/rows/all.ts'

describe('the statistics of the benchmark', () => {
  it('The median is the middle value, or the mean of the middle two, and none of nothing', () => {
    expect(median([3, 1, 2])).toBe(2)
    expect(median([10, 1, 3, 2])).toBe(2.5)
    expect(median([7])).toBe(7)
    expect(() => median([])).toThrow('the median of nothing')
  })

  it('A ratio is taken within its round, so a round in which the machine was slow counts as any other', () => {
    const [ours, theirs] = [
      [2, 20, 2.2],
      [1, 10, 1],
    ]
    expect(ratios(ours, theirs)).toEqual([2, 2, 2.2])
    expect(summarize(ratios(ours, theirs))).toEqual({ median: 2, low: 2, high: 2.2 })
    expect(() => ratios([1], [])).toThrow('1 rounds against 0')
  })

  it.each([
    [[1, 2, 3], 'lower', 2, 'met'],
    [[1, 2, 3], 'lower', 1.5, 'noise'],
    [[1, 2, 3], 'lower', 0.5, 'missed'],
    [[1, 2, 3], 'higher', 2, 'met'],
    [[1, 2, 3], 'higher', 3, 'noise'],
    [[1, 2, 3], 'higher', 4, 'missed'],
    [[1, 2, 3], 'higher', undefined, ''],
  ] as const)('The rounds %j, where %s is better, at a bar of %s: "%s"', (rounds, better, must, expected) => {
    expect(verdict(summarize(rounds), { must, better })).toBe(expected)
  })

  it('Rounds are interleaved, and each begins with the next contender', async () => {
    const order: string[] = []
    const results = await interleaved(['a', 'b', 'c'] as const, 3, async (name) => order.push(name))
    expect(order.join('')).toBe('abcbcacab')
    expect(results).toEqual({ a: [1, 6, 8], b: [2, 4, 9], c: [3, 5, 7] })
  })
})

describe('the report of the benchmark', () => {
  const row = { id: 'row', title: 'a <row>', unit: '×', better: 'lower', must: 2, aim: 1 } as const
  const line = toLine(row, { row: 'row', rounds: [1.5, 3, 1], partytracks: [1, 1, 1], behind: '3 ms, naive 2 ms' })

  const { must: _, ...withoutBar } = line

  it('A figure has three digits and its unit, a line its bar and its spread', () => {
    expect([figure(1_234.5, '/s'), figure(12.34, 'ms'), figure(0.4567, '×'), figure(12, '×')]).toEqual([
      '1235/s',
      '12.3 ms',
      '0.457',
      '12.0',
    ])
    expect([bar(line, line.must), bar(line, undefined), spread(line)]).toEqual(['≤ 2.00', '', '1.00 … 3.00'])
    expect(line).toMatchObject({ median: 1.5, verdict: 'met', partytracks: { median: 1 } })
  })

  it('The plot shows each row with a bar once, and escapes what it shows', () => {
    const svg = plot([line, withoutBar], 'a & b')
    expect(svg.match(/<circle/g)).toHaveLength(1)
    expect(svg).toContain('a &lt;row&gt;')
    expect(svg).toContain('aria-label="a &amp; b"')
    expect(svg).not.toContain('NaN')
  })

  it('The shipped rates are those of wrangler.toml', () => {
    expect(Object.keys(shippedRates())).toEqual([
      'RATE_IP',
      'RATE_SITE',
      'RATE_TENANT',
      'RATE_SUBJECT',
      'RATE_UNPROVEN',
    ])
    expect(shippedRates('name = "RATE_IP"\nnamespace_id = "1"\nsimple = { limit = 10, period = 10 }')).toEqual({
      RATE_IP: 60,
    })
  })
})

describe('the rows of the benchmark', () => {
  it('Each row has an id of its own, and its experiment is found by it', () => {
    expect(new Set(ROWS.map(({ id }) => id)).size).toBe(ROWS.length)
    for (const { id } of ROWS) expect(experimentsFor([id])).toHaveLength(1)
    expect(experimentsFor(undefined)).toEqual(EXPERIMENTS)
    expect(() => experimentsFor(['refused-form', 'nonsense'])).toThrow('no such row: nonsense.')
  })

  it('bench/README.md explains each row, and no other', () => {
    const readme = readFileSync(path.join(import.meta.dirname, '../../../bench/README.md'), 'utf8')
    const explained = [...readme.matchAll(/^\| (`[^|]*) \| (?!all rows|some rows|does)/gm)].flatMap(([, cell = '']) =>
      [...cell.matchAll(/`([^`]+)`/g)].map(([, id]) => id),
    )
    expect(explained.sort()).toEqual(ROWS.map(({ id }) => id).sort())
  })
})
