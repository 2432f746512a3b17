// Guards package-lock.json. Exits 1 when a package names an optional dependency (a platform's binary) that the lock lacks:
// `npm install` drops such a package in silence, and then `npm ci` fails, or another platform is left without its binary.
import { readFileSync } from 'node:fs'

interface Lock {
  packages: Record<string, { optionalDependencies?: Record<string, string> }>
}

const file = process.argv[2] ?? 'package-lock.json'
const { packages } = JSON.parse(readFileSync(file, 'utf8')) as Lock // npm's own format, lockfileVersion 3
const locked = new Set(
  Object.keys(packages).map((path) => path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)),
)

const missing: string[] = []
let asked = 0
for (const [path, { optionalDependencies = {} }] of Object.entries(packages)) {
  for (const name of Object.keys(optionalDependencies)) {
    asked++
    if (!locked.has(name)) missing.push(`${name}, which ${path || 'package.json'} asks for`)
  }
}

for (const line of missing) console.error(`${file} lacks ${line}`)
if (asked === 0) console.error(`${file} names no optional dependency, so that nothing was checked`)
if (missing.length > 0 || asked === 0) process.exitCode = 1
