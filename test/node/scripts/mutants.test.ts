// The list of `npm run mutants`: every promise that a test bears has a mutant, and every text to break is still there.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { expect, it } from 'vitest'
import { MUTANTS } from '../../../scripts/mutants/list.ts'
import { filesLike, matches, root, textOf, unique } from '../docs/repository.ts'

it('Every text that a mutant breaks stands exactly once in its file', () => {
  const wrong = MUTANTS.filter(({ file, find }) => textOf(file).split(find).length !== 2)
  expect(wrong.map(({ promise, breaks, file }) => `${promise}: ${breaks} (${file})`)).toEqual([])
})

it('Every mutant names a test file that bears its promise', () => {
  const wrong = MUTANTS.filter(
    ({ promise, test }) => !existsSync(path.join(root, test)) || !new RegExp(`\\b${promise}\\b`).test(textOf(test)),
  )
  expect(wrong.map(({ promise, test }) => `${promise} ${test}`)).toEqual([])
})

it('Every promise that a test bears has a mutant', () => {
  const promises = matches(filesLike('test/**/*.test.ts').map(textOf).join('\n'), /['"`](G\d+): /g)
  expect(unique(MUTANTS.map(({ promise }) => promise))).toEqual(unique(promises))
})
