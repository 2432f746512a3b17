// Owns wrangler.dev.toml: wrangler.toml as `npm run dev` needs it. wrangler dev drops every local secret that the configuration does
// not require. A deployment may do without ADMIN_TOKEN; the broker of this machine has it, and not on a command line.
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { projectRoot } from '../quiet-wrangler.ts'

const REQUIRED = '[secrets]\nrequired = ['

/**
 * Writes the file beside wrangler.toml, because its paths are relative, and returns where it is. One that is right already is not
 * written again: another `npm run dev` watches it, and would load its Worker anew.
 */
export function writeDevConfig(): string {
  const file = path.join(projectRoot, 'wrangler.dev.toml')
  const text = readFileSync(path.join(projectRoot, 'wrangler.toml'), 'utf8')
  if (!text.includes(REQUIRED)) throw new Error('wrangler.toml: secrets.required is not where it was.')
  const config = text.replace(REQUIRED, `${REQUIRED}"ADMIN_TOKEN", `)
  if (!existsSync(file) || readFileSync(file, 'utf8') !== config) writeFileSync(file, config)
  return file
}
