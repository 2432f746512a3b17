// wrangler.dev.toml, with which `npm run dev` starts wrangler: what it says, and that a second start leaves it alone.
import { readFileSync, statSync } from 'node:fs'
import { expect, it } from 'vitest'
import { writeDevConfig } from '../../../scripts/dev/devConfig.ts'

it('The configuration of npm run dev requires ADMIN_TOKEN, and is not written again while it is right', () => {
  const file = writeDevConfig()
  expect(readFileSync(file, 'utf8')).toMatch(/^required = \["ADMIN_TOKEN", "CALLS_API_TOKEN", "ROOT_KEYS"\]$/m)
  const { mtimeNs } = statSync(file, { bigint: true })
  expect(writeDevConfig()).toBe(file)
  expect(statSync(file, { bigint: true }).mtimeNs).toBe(mtimeNs)
})
