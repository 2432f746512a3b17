// `npm run bench` from its start to its end, with the shortest row.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { afterAll, expect, it } from 'vitest'
import type { Result } from '../../../bench/report/result.ts'

const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-bench-'))
afterAll(() => rmSync(folder, { recursive: true }))
const root = path.join(import.meta.dirname, '../../..')

it('npm run bench -- --quick --rows refused-form prints its table and writes JSON and a plot', () => {
  const printed = execFileSync(
    'npm',
    ['run', '-s', 'bench', '--', '--quick', '--rows', 'refused-form', '--out', folder],
    {
      cwd: root,
      encoding: 'utf8',
    },
  )
  expect(printed).toMatch(/^refused-form +\d/m)
  expect(printed).toContain('maxMintsPerMinute')
  expect(printed).toMatch(/RATE_TENANT \d+.*shipped: .*RATE_TENANT \d+/)
  const result = JSON.parse(readFileSync(path.join(folder, 'latest.json'), 'utf8')) as Result // just written
  expect(result.lines).toMatchObject([
    { id: 'refused-form', rounds: [expect.any(Number), expect.any(Number), expect.any(Number)] },
  ])
  expect(result.lines[0]?.median).toBeGreaterThan(0)
  expect(readFileSync(path.join(folder, 'latest.svg'), 'utf8')).toContain('refused-form')
})
