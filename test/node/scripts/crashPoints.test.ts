// The plugin that names the crash points of the fault matrix: no file of the objects may escape it, wherever it lies.

import { describe, expect, it } from 'vitest'
import { parseAst } from 'vitest/node'
import { crashPoints } from '../../../scripts/crash-points.ts'
import { filesLike, sources, textOf, unique } from '../docs/repository.ts'

/** Folders of src that no Durable Object runs. A new folder belongs here or into WATCHED of scripts/crash-points.ts. */
const OUTSIDE_THE_OBJECTS = ['auth', 'client', 'contract', 'http']

/** How many awaits of a file the plugin names. */
function namedIn(file: string): number {
  const { transform } = crashPoints()
  if (typeof transform !== 'function') throw new TypeError('the plugin has no transform')
  const plugin = { parse: (code: string, options: object) => parseAst(code, options) }
  // The plugin uses no more of Vite's context than parse().
  const made = Reflect.apply(transform, plugin, [textOf(file), `/anywhere/${file}`]) as { code: string } | undefined
  return made?.code.match(/await __step\('/g)?.length ?? 0
}

const awaitsIn = (file: string): number =>
  textOf(file)
    .replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$|\s\/\/ .*$/gm, '')
    .match(/\bawait\s/g)?.length ?? 0

describe('crash points', () => {
  it('Crash points every await under tenant/ and account/ is named, sub-folders included', () => {
    const awaiting = filesLike('src/{tenant,account}/**/*.ts').filter((file) => awaitsIn(file) > 0)
    expect(awaiting.length).toBeGreaterThan(30)
    expect(awaiting.filter((file) => namedIn(file) !== awaitsIn(file))).toEqual([])
  })

  it('Crash points every folder of src is either watched or known to run outside the objects', () => {
    const folders = unique(
      sources.map((file) => file.split('/')).flatMap(([, folder = '', inner]) => (inner ? folder : [])),
    )
    const watched = folders.filter((folder) => filesLike(`src/${folder}/**/*.ts`).some((file) => namedIn(file) > 0))
    const unwatched = folders.filter((folder) =>
      filesLike(`src/${folder}/**/*.ts`).every((file) => awaitsIn(file) === 0),
    )
    expect(OUTSIDE_THE_OBJECTS.filter((folder) => !folders.includes(folder))).toEqual([])
    expect(unique([...watched, ...unwatched, ...OUTSIDE_THE_OBJECTS])).toEqual(folders)
    expect(watched).toEqual(expect.arrayContaining(['account', 'cloudflare', 'storage', 'tenant']))
  })
})
