// Where the project's wrangler is, and the environment that keeps it quiet: no telemetry, no update check, no download,
// nothing written outside the project. Starts nothing.
import { createRequire } from 'node:module'
import path from 'node:path'

export const projectRoot = path.join(import.meta.dirname, '..')

const wranglerFolder = path.dirname(createRequire(import.meta.url).resolve('wrangler/package.json'))
export const wranglerEntry = path.join(wranglerFolder, 'bin/wrangler.js')

export const quietEnvironment: NodeJS.ProcessEnv = {
  ...process.env,
  CLOUDFLARE_CF_FETCH_ENABLED: 'false',
  WRANGLER_HIDE_BANNER: 'true',
  WRANGLER_LOG_PATH: path.join(projectRoot, '.wrangler/logs'),
  WRANGLER_NO_SKILLS_UPDATE_PROMPTS: 'true',
  WRANGLER_REGISTRY_PATH: path.join(projectRoot, '.wrangler/registry'),
  WRANGLER_SEND_ERROR_REPORTS: 'false',
  WRANGLER_SEND_METRICS: 'false',
}
