// Runs the project's wrangler, quietly, with the arguments it is given: `node scripts/wrangler.ts types --check`.
import { spawnSync } from 'node:child_process'
import { projectRoot, quietEnvironment, wranglerEntry } from './quiet-wrangler.ts'

const { status } = spawnSync(process.execPath, [wranglerEntry, ...process.argv.slice(2)], {
  cwd: projectRoot,
  env: quietEnvironment,
  stdio: 'inherit',
})
process.exitCode = status ?? 1
