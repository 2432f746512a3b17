// The bundle's budget: a Worker that is larger than allowed fails the check, which says by how much and what is in it.
import { spawnSync } from 'node:child_process'
import { expect, it } from 'vitest'
import { packageJson, root, textOf } from '../docs/repository.ts'

const bundle = (...options: string[]) =>
  spawnSync(process.execPath, ['scripts/bundle.ts', ...options], { cwd: root, encoding: 'utf8' })

it('The bundle is within its budget, which `npm run check` keeps', () => {
  const { status, stdout, stderr } = bundle()
  expect([status, stderr]).toEqual([0, ''])
  expect(stdout).toMatch(/The bundle is \d+\.\d\d KiB, minified and compressed; its budget is 98 KiB\./)
  expect(packageJson().scripts.check).toContain('npm run bundle &&')
})

it('The bundle over its budget fails, with its size, its largest modules, its packages and the rooms of src', () => {
  const { status, stderr } = bundle('--at-most', '10')
  expect(status).toBe(1)
  expect(stderr).toMatch(/The bundle is \d\d\.\d\d KiB, minified and compressed; its budget is 10 KiB\./)
  for (const row of [/^ +[\d,]+ {2}zod\/v4\/core\/schemas\.js$/m, /^ +[\d,]+ {2}hono$/m, /^ +[\d,]+ {2}src\/tenant$/m])
    expect(stderr).toMatch(row)
})

it('The bundle has no byte of the whole zod, of schemas of answers, and of the browser library', () => {
  bundle()
  const { outputs } = JSON.parse(textOf('dist/bundle-meta.json')) // esbuild's own format
  const inputs: Record<string, { bytesInOutput: number }> = outputs['dist/worker.js']?.inputs ?? {}
  const files = Object.keys(inputs).filter((file) => inputs[file]?.bytesInOutput)
  expect(files).toContain('src/worker.ts')
  const stray =
    /zod\/v4\/(?:classic|locales|core\/(?:json-schema|to-json-schema))|src\/contract\/answers\/|src\/client\//
  expect(files.filter((file) => stray.test(file))).toEqual([])
})
