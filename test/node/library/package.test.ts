// The npm package of the browser library: packed as it would be published, judged by publint and are-the-types-wrong, installed into
// an empty project, and imported, bundled and type-checked there.
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { checkPackage, createPackageFromTarballData } from '@arethetypeswrong/core'
import { buildSync } from 'esbuild'
import { publint } from 'publint'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { filesLike, matches, packageJson, root, textOf } from '../docs/repository.ts'

const NAME = 'turn-broker-client'
const OFFLINE = ['--offline', '--ignore-scripts', '--no-audit', '--no-fund', '--no-package-lock']
const run = promisify(execFile)

const project = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-package-'))
const installed = (file: string) => readFileSync(path.join(project, 'node_modules', NAME, file), 'utf8')
let tarball: Buffer

beforeAll(async () => {
  await run(process.execPath, [path.join(root, 'scripts/client.ts'), '--package'])
  const packed = ['pack', path.join(root, 'dist/client'), '--pack-destination', project, '--json', ...OFFLINE]
  await run('npm', packed, { cwd: project })
  const [file = ''] = readdirSync(project)
  tarball = readFileSync(path.join(project, file))
  writeFileSync(path.join(project, 'package.json'), '{"name":"app","private":true,"type":"module"}')
  await run('npm', ['install', ...OFFLINE, path.join(project, file)], { cwd: project })
})
afterAll(() => rmSync(project, { recursive: true }))

/** A module of the project, run by Node. What it prints. */
async function ran(name: string, source: string): Promise<string> {
  writeFileSync(path.join(project, name), source)
  return (await run(process.execPath, [name], { cwd: project })).stdout.trim()
}

describe('the npm package', () => {
  it('The npm package holds the library, its types, a README and the license, and nothing else', () => {
    const files = readdirSync(path.join(project, 'node_modules', NAME)).sort()
    expect(files).toEqual(['LICENSE', 'README.md', 'index.d.ts', 'index.js', 'package.json'])
    expect(tarball.byteLength).toBeLessThanOrEqual(10_240)
  })

  it('The npm package is what the broker serves, byte for byte, of the same version', () => {
    expect(installed('index.js')).toBe(textOf('public/client.js'))
    expect(installed('index.d.ts')).toBe(textOf('public/client.d.ts'))
    expect(JSON.parse(installed('package.json'))).toMatchObject({
      name: NAME,
      version: packageJson().version,
      license: 'MIT',
      sideEffects: false,
    })
    expect(JSON.parse(installed('package.json'))).not.toHaveProperty('dependencies')
  })

  it('The npm package has the name that documents and examples import', () => {
    const texts = filesLike('{README.md,docs/**/*.md,examples/*,packages/**/*.md}').map(textOf).join('\n')
    const names = matches(texts, /(?:from |import\()'(turn-broker[^']*)'/g)
    expect(names.length).toBeGreaterThan(2)
    expect(new Set(names)).toEqual(new Set([NAME]))
  })

  it('The npm package has nothing that publint warns of or suggests', async () => {
    const { messages } = await publint({
      pkgDir: path.join(root, 'dist/client'),
      level: 'suggestion',
      pack: 'npm',
      strict: true,
    })
    expect(messages).toEqual([])
  })

  it('The npm package gives its types to every module resolution; CommonJS gets an ES module, which it is', async () => {
    const checked = await checkPackage(createPackageFromTarballData(tarball))
    if (!checked.types) throw new Error('no types found')
    const kinds = checked.problems.map((problem) =>
      'resolutionKind' in problem ? `${problem.kind} ${problem.resolutionKind}` : problem.kind,
    )
    expect(kinds).toEqual(['CJSResolvesToESM node16-cjs'])
  })
})

describe('a project that installed the npm package', () => {
  const USE = `
    const answer = { iceServers: [{ urls: ['turn:t'], username: 'u', credential: 'c' }], ttl: 60, refreshAfter: 30, source: 'minted' }
    const client = createIceServers('https://turn.test', 'token', { fetch: async () => Response.json(answer) })
    console.log((await client.get()).source)
    client.stop()`

  it('A project that installed the npm package imports it in Node', async () => {
    expect(await ran('app.mjs', `import { createIceServers } from '${NAME}'\n${USE}`)).toBe('minted')
  })

  it('A project that installed the npm package requires it in Node from CommonJS', async () => {
    const source = `const { createIceServers } = require('${NAME}')\n;(async () => {${USE}})()`
    expect(await ran('app.cjs', source)).toBe('minted')
  })

  it('A project that installed the npm package bundles it for a page, and leaves it out where nothing of it is used', () => {
    const bundled = (contents: string) => {
      const stdin = { contents, resolveDir: project }
      const { outputFiles } = buildSync({
        stdin,
        bundle: true,
        minify: true,
        write: false,
        format: 'esm',
        target: 'es2022',
      })
      return outputFiles[0]?.text ?? ''
    }
    expect(bundled(`export { createIceServers } from '${NAME}'`)).toMatch(/export\{\w+ as createIceServers\}/)
    expect(bundled(`import { createIceServers } from '${NAME}'\nexport const nothing = 1`)).not.toContain('iceServers')
  })

  it.each([
    ['bundler', 'esnext'],
    ['nodenext', 'nodenext'],
  ])(
    'A project that installed the npm package has its types with module resolution %s',
    async (moduleResolution, module) => {
      const folder = path.join(project, moduleResolution)
      mkdirSync(folder)
      const lib = ['es2022', 'dom']
      const compilerOptions = { strict: true, noEmit: true, module, moduleResolution, lib, types: [] }
      writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions }))
      writeFileSync(
        path.join(folder, 'app.ts'),
        `import { createIceServers, type IceServerList } from '${NAME}'
      export const list: Promise<IceServerList> = createIceServers('u', () => 't').get()
      // @ts-expect-error: not a token
      createIceServers('u', 1)\n`,
      )
      const tsc = path.join(root, 'node_modules/.bin/tsc')
      const { stdout } = await run(tsc, ['-p', folder]).catch((error: { stdout: string }) => error)
      expect(stdout).toBe('')
    },
  )
})
