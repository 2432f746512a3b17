// Owns .dev.vars: the secrets of this machine's broker, random, made once, readable by their owner only. Never prints one.
import { randomBytes } from 'node:crypto'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseEnv } from 'node:util'
import { projectRoot } from '../quiet-wrangler.ts'

const OWNER_ONLY = 0o600
const file = path.join(projectRoot, '.dev.vars')

const generators = {
  CALLS_API_TOKEN: () => randomBytes(30).toString('base64url'),
  ADMIN_TOKEN: () => randomBytes(32).toString('base64url'),
  ROOT_KEYS: () => `k1:${randomBytes(32).toString('base64')}`,
}

type Name = keyof typeof generators
const names = Object.keys(generators) as Name[] // Object.keys forgets the names

/** The secrets of .dev.vars, those that were missing generated and added; `made` names them. */
export function localSecrets(): { secrets: Record<Name, string>; made: Name[] } {
  const before = existsSync(file) ? readFileSync(file, 'utf8') : ''
  const known: NodeJS.Dict<string> = parseEnv(before)
  const made: Name[] = []
  const secrets = { CALLS_API_TOKEN: '', ADMIN_TOKEN: '', ROOT_KEYS: '' }
  for (const name of names) {
    secrets[name] = known[name] || generators[name]()
    if (!known[name]) made.push(name)
  }
  if (made.length > 0) {
    const kept = before === '' || before.endsWith('\n') ? before : `${before}\n`
    writeFileSync(file, kept + made.map((name) => `${name}="${secrets[name]}"\n`).join(''), { mode: OWNER_ONLY })
  }
  chmodSync(file, OWNER_ONLY)
  return { secrets, made }
}
