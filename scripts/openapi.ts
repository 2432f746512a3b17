// `npm run openapi`: writes the OpenAPI document and the page that shows it into public/, which Cloudflare serves as static
// assets. With --check it writes nothing, and exits 1 when what is committed is out of date. Another folder may be named.
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { parseArgs } from 'node:util'
import { openapi } from './openapi/document.ts'
import { page } from './openapi/page/page.ts'
import type { Document } from './openapi/page/shape.ts'

const { values, positionals } = parseArgs({ options: { check: { type: 'boolean' } }, allowPositionals: true })
const [folder = path.join(import.meta.dirname, '../public')] = positionals
const document = openapi()
const generated: [file: string, text: string][] = [
  ['openapi.json', `${JSON.stringify(document, null, 1)}\n`],
  ['docs.html', page(document as unknown as Document)], // built here, of the shape that the page reads
]
const stale = generated.filter(([file, text]) => text !== current(file))

if (values.check) {
  for (const [file] of stale) console.error(`public/${file} is out of date: npm run openapi`)
  if (stale.length > 0) process.exitCode = 1
} else {
  for (const [file, text] of stale) writeFileSync(path.join(folder, file), text)
}

function current(file: string): string | undefined {
  try {
    return readFileSync(path.join(folder, file), 'utf8')
  } catch {
    return
  }
}
