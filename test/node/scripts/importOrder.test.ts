// The linter's import rule, seen at work: a file of every room of src that imports what its room may not is refused.
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
  const folder = mkdtempSync(path.join(tmpdir(), 'import-order-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  for (const name of ['biome.json', 'scripts/lint', '.gitignore']) {
    cpSync(path.join(root, name), path.join(folder, name), { recursive: true })
  }
  const probes = FORBIDDEN.map(([room, target], i) => {
    const file = `src/${room}/probe${i}.ts`
    mkdirSync(path.join(folder, path.dirname(file)), { recursive: true })
    const from = path.relative(path.dirname(file), `src/${target}`)
    writeFileSync(
      path.join(folder, file),
      `import type { A } from '${from.startsWith('.') ? from : `./${from}`}'\nexport type B = A\n`,
    )
    return file
  })
  const biome = path.join(root, 'node_modules/.bin/biome')
  const { stdout } = spawnSync(
    biome,
    ['lint', '--vcs-enabled=false', '--reporter=json', '--max-diagnostics=none', 'src'],
    {
      cwd: folder,
      encoding: 'utf8',
    },
  )
  const { diagnostics } = JSON.parse(stdout) as { diagnostics: { message: string; location: { path: string } }[] } // Biome's format
  const refused = diagnostics
    .filter(({ message }) => message.startsWith('This room may not import'))
    .map((it) => it.location.path)
  expect(unique(refused)).toEqual(unique(probes))
})
