// `npm run bench`: the broker beside a naive Worker and partytracks, as ratios of interleaved rounds. Prints a table and writes
// JSON and a plot; judges nothing. --quick: two minutes. --rows a,b: some rows. --write: docs/measured/performance.md too. --out: another
// folder than bench/results.
import { mkdirSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { page } from './report/page.ts'
import { plot } from './report/plot.ts'
import { conditions, type Line, type Result, toLine } from './report/result.ts'
import { conditionLines, terminalTable } from './report/table.ts'
import { experimentsFor } from './rows/all.ts'
import { openLab } from './rows/lab.ts'
import type { Effort } from './rows/row.ts'
import { moveTo, twoCores } from './runtime/cores.ts'

const root = path.join(import.meta.dirname, '..')
const FULL: Effort = { rounds: 7, seconds: 1.5, liveCredentials: 1_000_000, quick: false }
const QUICK: Effort = { rounds: 3, seconds: 0.5, liveCredentials: 100_000, quick: true }

const { values: flags } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    rows: { type: 'string' },
    write: { type: 'boolean', default: false },
    out: { type: 'string', default: path.join(import.meta.dirname, 'results') },
  },
})
const ids = flags.rows?.split(',').filter((id) => id !== '')
const experiments = experimentsFor(ids)
if (flags.write && ids) throw new Error('--write needs all rows: the page shows one run.')

const effort = flags.quick ? QUICK : FULL
const cores = twoCores()
if (cores) moveTo(cores.load)
const loadBefore = Number((os.loadavg()[0] ?? 0).toFixed(2))
const remarks: string[] = []
const say = (line: string) => {
  remarks.push(line)
  console.log(line)
}
if (!cores) say('Nothing is pinned to a processor: there is only one, or no taskset.')

const { lab, close } = openLab({ effort, core: cores?.workerd, say })
const lines: Line[] = []
try {
  for (const { rows, run } of experiments) {
    const wanted = rows.filter(({ id }) => ids?.includes(id) ?? true)
    process.stdout.write(`${wanted.map(({ id }) => id).join(', ')} …\n`)
    // One experiment that breaks does not take the others' figures with it.
    const found = await run(lab).catch((error: unknown) => {
      process.exitCode = 1
      say(`${wanted.map(({ id }) => id).join(', ')}: broke. ${error instanceof Error ? error.message : String(error)}`)
      return []
    })
    for (const row of wanted) {
      const finding = found.find((each) => each.row === row.id)
      if (finding) lines.push(toLine(row, finding))
    }
  }
} finally {
  await close()
}

const result: Result = { conditions: conditions({ cores, effort, loadBefore }), lines, remarks }
console.log(`\n${terminalTable(result)}\n\n${conditionLines(result).join('\n')}`)
const svg = plot(lines, `turn-broker ${result.conditions.commit}, ${result.conditions.date.slice(0, 10)}`)
mkdirSync(flags.out, { recursive: true })
writeFileSync(path.join(flags.out, 'latest.json'), `${JSON.stringify(result, null, 2)}\n`)
writeFileSync(path.join(flags.out, 'latest.svg'), svg)
writeFileSync(path.join(flags.out, 'latest.txt'), `${terminalTable(result)}\n`)
if (flags.write && process.exitCode === undefined) {
  writeFileSync(path.join(root, 'docs/measured/performance.md'), page(result))
  writeFileSync(path.join(root, 'docs/measured/performance.svg'), svg)
}
