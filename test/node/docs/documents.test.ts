// The documents as a whole: links and anchors, promises with their tests, dependencies with their reasons.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, filesLike, linksOf, matches, packageJson, root, sectionOf, tableOf, textOf } from './repository.ts'

describe('docs/guarantees.md', () => {
  const document = textOf('docs/guarantees.md')

  it.each(tableOf(sectionOf(document, 'Today'), 'number'))(
    '%s is shown by a test that bears its number',
    (number, _, by = '') => {
      const files = matches(by, /\[(.+?)\]/g)
      expect(files.length).toBeGreaterThan(0)
      const silent = files.filter((file) => !new RegExp(`['"\`]${number}: `).test(textOf(file)))
      expect(silent).toEqual([])
    },
  )

  it('links every test that bears the number of a promise', () => {
    const linked = tableOf(sectionOf(document, 'Today'), 'number').flatMap(([number = '', , by = '']) =>
      matches(by, /\[(.+?)\]/g).map((file) => `${number} ${file}`),
    )
    const bearing = filesLike('test/**/*.test.ts').flatMap((file) =>
      matches(textOf(file), /['"`](G\d+): /g).map((number) => `${number} ${file}`),
    )
    expect([...new Set(bearing)].filter((test) => !linked.includes(test))).toEqual([])
    expect(bearing.length).toBeGreaterThan(10)
  })
})

describe('docs/decisions', () => {
  it('The index of decisions lists every record with its title, and no other', () => {
    const listed = [...textOf('docs/decisions/README.md').matchAll(/^\| \[(\d+)\]\((.+?)\) \| (.+?) \|/gm)]
    const records = filesLike('docs/decisions/0*.md')
    expect(records.length).toBeGreaterThan(16)
    const titles = records.map((file) => `docs/decisions/${path.basename(file)}: ${textOf(file).split('\n')[0]}`)
    expect(listed.map(([, number, file, title]) => `docs/decisions/${file}: # ${number}. ${title}`)).toEqual(titles)
  })

  it('has a line for every dependency, and for no other', () => {
    const { dependencies, optionalDependencies, devDependencies } = packageJson()
    const document = textOf('docs/decisions/0005-dependencies.md')
    const named = matches(document, /^\| `(.+?)` \|/gm)
    expect(named.sort()).toEqual(Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies }).sort())
    const deployed = sectionOf(document, '5. Dependencies').split('For work on the project')[0] ?? ''
    expect(matches(deployed, /^\| `(.+?)` \|/gm)).toEqual(Object.keys(dependencies))
  })
})

it('The workflow of the repository calls .ci/run and nothing else of the project', () => {
  const runs = matches(textOf('.github/workflows/ci.yml'), /run: (.+)$/gm)
  expect(runs.filter((command) => !command.startsWith('apt-get'))).toEqual(['bash .ci/run'])
})

describe('links', () => {
  const documents = filesLike('**/*.md')

  it('finds the documents', () => {
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/errors.md', 'emulator/README.md']))
  })

  it.each(documents)('of %s lead somewhere', (file) => {
    const broken = linksOf(textOf(file)).filter((link) => !resolves(file, link))
    expect(broken).toEqual([])
  })
})

function resolves(from: string, link: string): boolean {
  const [file = '', anchor] = link.split('#')
  const target = file === '' ? from : path.join(path.dirname(from), file)
  if (!existsSync(path.join(root, target))) return false
  return anchor === undefined || anchorsOf(textOf(target)).has(anchor)
}
