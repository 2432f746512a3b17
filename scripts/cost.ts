// `npm run cost`: writes docs/measured/cost.md from docs/measured/cost-counts.json. With --check it writes nothing, and exits 1 when the page is
// out of date.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import type { OperationCost } from './cost/bill.ts'
import { page } from './cost/page.ts'

const docs = path.join(import.meta.dirname, '../docs/measured')
const file = path.join(docs, 'cost.md')
// test/issuing/operationCosts.test.ts writes it
const costs = JSON.parse(readFileSync(path.join(docs, 'cost-counts.json'), 'utf8')) as Record<string, OperationCost>
const text = page(costs)

if (!process.argv.includes('--check')) writeFileSync(file, text)
else if (readFileSync(file, 'utf8') !== text) {
  console.error('docs/measured/cost.md is out of date: npm run cost')
  process.exitCode = 1
}
