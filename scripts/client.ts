// `npm run client:build`: the browser library as one minified ES module with its types, as static assets (public/client.js, client.d.ts and
// public/client/{version}), as an npm package (dist/client), and its digest in the documents that show how to pin it. With --check it
// writes nothing, and exits 1 when what is committed is out of date; with --package it writes the package only.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import os from 'node:os'
import path from 'node:path'
import { buildSync } from 'esbuild'

const root = path.join(import.meta.dirname, '..')
/** The oldest JavaScript that all browsers of the last years speak. */
const TARGET = 'es2022'
const ASSETS = 'public/client'
const PACKAGE = 'dist/client'
/** Files that show `/client/{version}.js` with its digest. */
const PINNED = ['docs/client.md', 'examples/browser.html']

const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const { version } = JSON.parse(read('package.json')) as { version: string } // npm's own format
const script = bundle()
const types = declarations()
const digest = createHash('sha384').update(script).digest()
const integrity = `sha384-${digest.toString('base64')}`
/** Other bytes have another address, or a cache that holds the old ones for good would fail the new digest. */
const release = `${version}-${digest.toString('hex').slice(0, 8)}`

const committed: [file: string, text: string][] = [
  ['public/client.js', script],
  ['public/client.d.ts', types],
  [`${ASSETS}/${release}.js`, script],
  [`${ASSETS}/${release}.d.ts`, types],
  ...PINNED.map((file): [string, string] => [file, pinned(read(file))]),
]
const stale = committed.filter(([file, text]) => text !== current(file))
/** Builds of this version that never were released. Files of earlier versions stay: pages pin them. */
const surplus = readdirSync(path.join(root, ASSETS)).filter(
  (name) => name.startsWith(`${version}-`) && !name.startsWith(`${release}.`),
)

if (process.argv.includes('--check')) {
  for (const [file] of stale) console.error(`${file} is out of date: npm run client:build`)
  for (const name of surplus) console.error(`${ASSETS}/${name} is no longer built: npm run client:build`)
  if (stale.length + surplus.length > 0) process.exitCode = 1
} else {
  if (!process.argv.includes('--package')) {
    for (const name of surplus) rmSync(path.join(root, ASSETS, name))
    for (const [file, text] of stale) writeFileSync(path.join(root, file), text)
  }
  writePackage()
}

function bundle(): string {
  const { outputFiles } = buildSync({
    absWorkingDir: root,
    entryPoints: ['src/client/iceServers.ts'],
    bundle: true,
    minify: true,
    write: false,
    format: 'esm',
    target: TARGET,
    charset: 'ascii',
  })
  const [file] = outputFiles
  if (!file) throw new Error('esbuild wrote nothing')
  return `/*! turn-broker client ${version} | MIT */\n${file.text}`
}

/** The types of the entry and of api.ts as one file without imports. */
function declarations(): string {
  const compiler = createRequire(import.meta.url).resolve('typescript/package.json')
  const tsc = path.join(path.dirname(compiler), 'lib/tsc.js')
  const out = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-types-'))
  const options = ['-p', 'tsconfig.client.json', '--noEmit', 'false', '--emitDeclarationOnly', '--declaration']
  const { status } = spawnSync(process.execPath, [tsc, ...options, '--rootDir', '.', '--outDir', out], {
    cwd: root,
    stdio: 'inherit',
  })
  if (status !== 0) throw new Error('tsc failed')
  const [api = '', entry = ''] = ['api', 'iceServers'].map((name) =>
    readFileSync(path.join(out, `src/client/${name}.d.ts`), 'utf8')
      .replace(/^\/\*\*[\s\S]*?\*\/\n/, '')
      .replaceAll(/^(?:import|export) type [^;]* from '\.\/api\.ts';\n/gm, ''),
  )
  const rolledUp = `/// <reference lib="esnext.disposable" />\n${api}${entry}`
  rmSync(out, { recursive: true })
  if (/\bfrom ['"]|\bimport\b/.test(rolledUp)) throw new Error('the types import something')
  return rolledUp
}

function writePackage(): void {
  const folder = path.join(root, PACKAGE)
  const { name, ...manifest } = JSON.parse(read('packages/client/package.json')) as { name: string } // npm's own format
  const files = {
    'index.js': script,
    'index.d.ts': types,
    'package.json': `${JSON.stringify({ name, version, ...manifest }, null, 2)}\n`,
    'README.md': read('packages/client/README.md'),
    LICENSE: read('LICENSE'),
  }
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  for (const [file, text] of Object.entries(files)) writeFileSync(path.join(folder, file), text)
}

function pinned(document: string): string {
  return document
    .replaceAll(/sha384-[A-Za-z0-9+/]{64}/g, integrity)
    .replaceAll(/\/client\/\d+\.\d+\.\d+(?:-[0-9a-f]{8})?\.js/g, `/client/${release}.js`)
}

function current(file: string): string | undefined {
  try {
    return read(file)
  } catch {
    return
  }
}
