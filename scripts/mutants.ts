// `npm run mutants`: breaks one defence after the other (scripts/mutants/) in a copy of the project, and expects a
// test of the promise it serves to fail. A mutant that survives means a test that cannot fail. `npm run mutants G6` plays
// the mutants of one promise.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { MUTANTS } from './mutants/list.ts'
import type { Mutant } from './mutants/mutant.ts'

const root = path.join(import.meta.dirname, '..')
const TIMEOUT_MS = 300_000

/** The tracked files in a folder of their own; packages are shared. */
function copyOfTheProject(): string {
  const folder = mkdtempSync(path.join(tmpdir(), 'mutants-'))
  const tracked = execFileSync('git', ['ls-files', '--cached', '--others', '--exclude-standard', '-z'], {
    cwd: root,
    encoding: 'utf8',
  })
  for (const file of tracked.split('\0').filter((name) => name !== '' && existsSync(path.join(root, name)))) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true })
    cpSync(path.join(root, file), path.join(folder, file))
  }
  symlinkSync(path.join(root, 'node_modules'), path.join(folder, 'node_modules'))
  return folder
}

interface Report {
  readonly numTotalTests: number
  readonly testResults: readonly {
    readonly message: string
    readonly assertionResults: readonly { readonly fullName: string; readonly status: string }[]
  }[]
}

/** The full names of the tests that failed; throws when none ran. */
function failuresOf(folder: string, test: string): string[] {
  const out = path.join(folder, 'report.json')
  rmSync(out, { force: true })
  const vitest = path.join(root, 'node_modules/vitest/vitest.mjs')
  const args = ['run', test, '--reporter=json', `--outputFile=${out}`, '--bail=1']
  spawnSync(process.execPath, [vitest, ...args], { cwd: folder, stdio: 'ignore', timeout: TIMEOUT_MS })
  if (!existsSync(out)) throw new Error(`${test}: no report within ${TIMEOUT_MS / 1_000} s`)
  const report = JSON.parse(readFileSync(out, 'utf8')) as Report // vitest's format
  const ran = report.testResults.flatMap(({ assertionResults }) => assertionResults)
  if (ran.length === 0) throw new Error(`${test}: no test ran: ${report.testResults[0]?.message ?? ''}`)
  return ran.filter(({ status }) => status === 'failed').map(({ fullName }) => fullName)
}

/** Why the mutant is not caught, or `undefined`. */
function survives(folder: string, { promise, file, find, replace, test }: Mutant): string | undefined {
  const place = path.join(folder, file)
  const source = readFileSync(place, 'utf8')
  const found = source.split(find).length - 1
  if (found !== 1) return `the text to break stands ${found} times in ${file}; once was expected`
  writeFileSync(
    place,
    source.replace(find, () => replace),
  )
  try {
    const failed = failuresOf(folder, test)
    if (failed.length === 0) return `${test} passed`
    return failed.some((name) => name.includes(promise)) ? undefined : `only other tests failed: ${failed.join('; ')}`
  } finally {
    writeFileSync(place, source)
  }
}

const asked = process.argv.slice(2)
const chosen = MUTANTS.filter(({ promise }) => asked.length === 0 || asked.includes(promise))
if (chosen.length === 0) throw new Error(`no mutant of ${asked.join(', ')}`)
const folder = copyOfTheProject()
let failed = 0
try {
  for (const test of new Set(chosen.map((mutant) => mutant.test))) {
    const broken = failuresOf(folder, test)
    if (broken.length > 0) throw new Error(`${test} fails without any mutant: ${broken.join('; ')}`)
  }
  for (const mutant of chosen) {
    const why = survives(folder, mutant)
    if (why !== undefined) failed++
    process.stdout.write(
      `${why === undefined ? 'caught  ' : 'SURVIVED'} ${mutant.promise}: ${mutant.breaks}${why === undefined ? '' : ` (${why})`}\n`,
    )
  }
} finally {
  rmSync(folder, { recursive: true })
}
process.stdout.write(`mutants: ${chosen.length - failed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 ? 0 : 1
