// The modules of docs/react.md, bundled with React's development build and the library. No assertions here.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { buildSync } from 'esbuild'
import { afterAll } from 'vitest'
import { fencesOf, root, textOf } from '../docs/repository.ts'

const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-react-'))
afterAll(() => rmSync(folder, { recursive: true }))

/** Writes the document's modules under the names by which they import each other, with this one, and bundles that. */
export function bundled(source: string, platform: 'browser' | 'node'): string {
  const names = { 'One for the whole app': 'shared', 'One for a component': 'useIceServers', 'A call': 'Call' }
  const fences = fencesOf(textOf('docs/react.md'))
  for (const [heading, name] of Object.entries(names)) {
    const code = fences.find(({ under }) => under === heading)?.code
    if (!code) throw new Error(`docs/react.md has no code under "${heading}"`)
    writeFileSync(path.join(folder, `${name}.js`), code)
  }
  writeFileSync(path.join(folder, 'app.js'), source)
  const outfile = path.join(folder, `${platform}.mjs`)
  buildSync({
    entryPoints: [path.join(folder, 'app.js')],
    nodePaths: [path.join(root, 'node_modules')],
    alias: { 'turn-broker-client': path.join(root, 'public/client.js') },
    define: { 'process.env.NODE_ENV': '"development"' },
    loader: { '.js': 'jsx' },
    jsx: 'automatic',
    banner:
      platform === 'node'
        ? { js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)" }
        : {},
    bundle: true,
    format: 'esm',
    outfile,
    platform,
  })
  return outfile
}
