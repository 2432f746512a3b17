// The linter's import rules, seen at work: a file of every room of src that imports what its room may not is refused, and so is
// all of zod.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { expect, it, onTestFinished } from 'vitest'
import { root, sources, unique } from '../docs/repository.ts'

/** The folder of each file, relative to src; '' for src itself. */
const rooms = unique(sources.map((file) => path.dirname(file).replace(/^src\/?/, '')))

/** What no room but src itself may import: the table of contents. And one of each neighbour's for some rooms. */
const FORBIDDEN: readonly (readonly [room: string, target: string])[] = [
  ...rooms.filter((room) => room !== '').map((room) => [room, 'app.ts'] as const),
  ['http', 'http/routes/health.ts'],
  ['http/caller', 'tenant/tenant.ts'],
  ['http/routes', 'http/routes/browser/iceServers.ts'],
  ['account', 'tenant/tenant.ts'],
  ['account/core', 'account/directory/directory.ts'],
  ['account/budget', 'account/turnKeys/sweep.ts'],
  ['tenant', 'account/account.ts'],
  ['tenant/memory', 'tenant/core/context.ts'],
  ['tenant/core', 'tenant/turnKeys/rows.ts'],
  ['tenant/turnKeys', 'tenant/ledger/usage.ts'],
  ['tenant/ledger', 'tenant/provisioning/apply.ts'],
  ['tenant/provisioning', 'tenant/issuing/issue.ts'],
  ['tenant/provisioning/machine', 'tenant/provisioning/apply.ts'],
  ['tenant/revocations', 'tenant/provisioning/apply.ts'],
  ['tenant/tokens', 'tenant/issuing/issue.ts'],
  ['tenant/issuing', 'tenant/lifecycle/tenant.ts'],
  ['tenant/lifecycle', 'tenant/issuing/issue.ts'],
  ['rpc', 'tenant/tenant.ts'],
  ['auth', 'rpc/calls.ts'],
  ['storage', 'cloudflare/exchange.ts'],
  ['crypto', 'env.ts'],
  ['concurrency', 'contract/values.ts'],
  ['contract', 'contract/resources/tenants.ts'],
  ['contract/policy', 'contract/resources/tenants.ts'],
  ['contract/answers', 'http/body.ts'],
  ['contract/resources', 'contract/answers/tenants.ts'],
  ['http', 'contract/answers/tenants.ts'],
  ['client', 'contract/answers/tenants.ts'],
  ['a room that is not in the rule', 'errors.ts'],
]

it('The import rule refuses a forbidden import in every room of src', () => {
  const probes = FORBIDDEN.map(([room, target], i): [file: string, text: string] => {
    const file = `src/${room}/probe${i}.ts`
    const from = path.relative(path.dirname(file), `src/${target}`)
    return [file, `import type { A } from '${from.startsWith('.') ? from : `./${from}`}'\nexport type B = A\n`]
  })
  const refused = linted(probes).filter(({ message }) => message.startsWith('This room may not import'))
  expect(unique(refused.map(({ file }) => file))).toEqual(unique(probes.map(([file]) => file)))
})

it('The linter refuses every import of zod in src that would bring more of zod into the bundle than zod/mini', () => {
  const refused = [
    `import * as z from 'zod'\nexport const A = z.string()\n`,
    `import type * as z from 'zod'\nexport type A = z.ZodType\n`,
    `import * as z from 'zod/v4'\nexport const A = z.string()\n`,
    `import { string } from 'zod/mini'\nexport const A = string()\n`,
    `export { string } from 'zod'\n`,
    `export const zod = import('zod')\n`,
  ]
  const allowed = `import * as z from 'zod/mini'\nexport const A = z.string()\n`
  const probes = [...refused, allowed].map((text, i): [file: string, text: string] => [`src/contract/zod${i}.ts`, text])
  const found = linted(probes).filter(({ message }) => message.includes('zod/mini'))
  expect(unique(found.map(({ file }) => file))).toEqual(refused.map((_, i) => `src/contract/zod${i}.ts`))
})

/** What the project's linter says of these files, in a project of their own. */
function linted(files: readonly (readonly [file: string, text: string])[]): { file: string; message: string }[] {
  const folder = mkdtempSync(path.join(tmpdir(), 'import-order-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const name of ['biome.json', 'scripts/lint', '.gitignore']) {
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  }
  for (const [file, text] of files) {
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true })
    writeFileSync(path.join(folder, file), text)
  }
  const biome = path.join(root, 'node_modules/.bin/biome')
  const options = ['--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none']
  const { stdout } = spawnSync(biome, ['lint', ...options, 'src'], { cwd: folder, encoding: 'utf8' })
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: { message: string; location: { path: string } }[] } // Biome's format
  return diagnostics.map(({ message, location }) => ({ file: location.path, message }))
}
