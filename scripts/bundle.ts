// `npm run bundle`: builds the Worker into dist/ as it is deployed, and prints its size and its largest modules. Exits 1 when it is over
// budget (docs/decisions/0023-bundle.md). `--at-most KIB` names another budget.
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { gzipSync } from 'node:zlib'
import { projectRoot, quietEnvironment, wranglerEntry } from './quiet-wrangler.ts'

/** Minified and compressed, as wrangler prints it. */
const BUDGET_KIB = 98
const MODULES_SHOWN = 15

/** What esbuild says of a bundle, as far as it is read here. */
interface Metafile {
  readonly outputs: Readonly<Record<string, { readonly inputs: Readonly<Record<string, { bytesInOutput: number }>> }>>
}

const { values } = parseArgs({ options: { 'at-most': { type: 'string', default: String(BUDGET_KIB) } } })
const budgetKib = Number(values['at-most'])
const dist = path.join(projectRoot, 'dist')

const { status } = spawnSync(
  process.execPath,
  [wranglerEntry, 'deploy', '--dry-run', '--minify', '--metafile', '--outdir', dist],
  { cwd: projectRoot, env: quietEnvironment, stdio: ['ignore', 'inherit', 'inherit'] },
)
if (status !== 0) process.exit(status ?? 1)

const kib = gzipSync(readFileSync(path.join(dist, 'worker.js'))).byteLength / 1_024
const size = `The bundle is ${kib.toFixed(2)} KiB, minified and compressed; its budget is ${budgetKib} KiB.`
const modules = modulesOf('worker.js')
const report = [
  `${size} By module, in bytes, minified and not compressed:`,
  ...rows(modules).slice(0, MODULES_SHOWN),
  'By package, and by room of src:',
  ...rows(summed(modules)),
]
if (kib <= budgetKib) console.log(report.join('\n'))
else {
  console.error(report.join('\n'))
  console.error('What keeps it small, and how the budget may change: docs/decisions/0023-bundle.md.')
  process.exitCode = 1
}

/** The bytes of each module in a file of dist/, by its path; a package's without node_modules/. */
function modulesOf(output: string): Map<string, number> {
  const { outputs } = JSON.parse(readFileSync(path.join(dist, 'bundle-meta.json'), 'utf8')) as Metafile // esbuild's own format
  const inputs = Object.entries(outputs).find(([file]) => path.basename(file) === output)?.[1].inputs ?? {}
  return new Map(
    Object.entries(inputs).map(([file, { bytesInOutput }]) => [file.replace(/^.*node_modules\//, ''), bytesInOutput]),
  )
}

function summed(bytesOf: Map<string, number>): Map<string, number> {
  const sums = new Map<string, number>()
  for (const [file, bytes] of bytesOf) {
    const [whole = file] = /^src\/[^/]+|^[^/]+/.exec(file) ?? []
    sums.set(whole, (sums.get(whole) ?? 0) + bytes)
  }
  return sums
}

function rows(bytesOf: Map<string, number>): string[] {
  return [...bytesOf]
    .toSorted(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `${bytes.toLocaleString('en-US').padStart(8)}  ${name}`)
}
