// Browser extensions for the tests: an unpacked one for Chromium, and a package (a zip without compression) for Firefox.
import { mkdirSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { crc32 } from 'node:zlib'

/** In a new folder, named after the extension. Its page `page.html` has that name as its title. Answers the folder. */
export function unpackedExtension(parent: string, name: string, manifest: object = {}): string {
  const folder = path.join(parent, name)
  mkdirSync(folder)
  const background = { service_worker: 'worker.js' }
  const whole = { manifest_version: 3, name, version: '1', background, ...manifest }
  writeFileSync(path.join(folder, 'manifest.json'), JSON.stringify(whole))
  writeFileSync(path.join(folder, 'worker.js'), '')
  writeFileSync(path.join(folder, 'page.html'), `<!doctype html><title>${name}</title>`)
  return folder
}

/** A Firefox extension with this id, whose background script runs when the browser starts. */
export const firefoxExtension = (id: string, script: string): Buffer =>
  zipOf({
    'manifest.json': JSON.stringify({
      manifest_version: 2,
      name: id,
      version: '1',
      browser_specific_settings: { gecko: { id } },
      background: { scripts: ['script.js'] },
    }),
    'script.js': script,
  })

/** PKWARE's format, each file stored as it is. */
function zipOf(files: Record<string, string>): Buffer {
  const entries = Object.entries(files).map(([name, text]) => ({ name: Buffer.from(name), data: Buffer.from(text) }))
  const parts: Buffer[] = []
  const directory: Buffer[] = []
  let offset = 0
  for (const { name, data } of entries) {
    const sizes = [crc32(data), data.length, data.length]
    const local = Buffer.concat([
      fields([4, 0x04034b50], [2, 20], [8, 0], ...sizes.map(int32), [2, name.length], [2, 0]),
      name,
    ])
    parts.push(local, data)
    directory.push(
      fields([4, 0x02014b50], [2, 20], [2, 20], [8, 0], ...sizes.map(int32), [2, name.length], [12, 0], [4, offset]),
      name,
    )
    offset += local.length + data.length
  }
  const [count, size] = [entries.length, Buffer.concat(directory).length]
  const end = fields([4, 0x06054b50], [4, 0], [2, count], [2, count], [4, size], [4, offset], [2, 0])
  return Buffer.concat([...parts, ...directory, end])
}

const int32 = (value: number): [bytes: number, value: number] => [4, value]

/** Little-endian numbers, one after the other. */
function fields(...all: [bytes: number, value: number][]): Buffer {
  return Buffer.concat(
    all.map(([bytes, value]) => {
      const field = Buffer.alloc(bytes)
      field.writeUIntLE(value, 0, Math.min(bytes, 4))
      return field
    }),
  )
}
