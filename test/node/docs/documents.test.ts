// The documents as a whole: links and anchors, promises with their tests, decisions in their index, dependencies with their reasons.
import { existsSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, filesLike, linksOf, matches, packageJson, root, sectionOf, tableOf, textOf } from './repository.ts'

const INDEX = 'docs/decisions/README.md'

describe('docs/guarantees.md', () => {
  const document = textOf('docs/guarantees.md')

  it.each(tableOf(sectionOf(document, 'Today'), 'number'))(
    'Docs/guarantees.md %s is shown by a test that bears its number',
    (number, _, by = '') => {
      const files = matches(by, /\[(.+?)\]/g)
      expect(files.length).toBeGreaterThan(0)
      const silent = files.filter((file) => !new RegExp(`['"\`]${number}: `).test(textOf(file)))
      expect(silent).toEqual([])
    },
  )

  it('Docs/guarantees.md links every test that bears the number of a promise', () => {
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
  it('Docs/decisions has a line for every dependency, and for no other', () => {
    const { dependencies, optionalDependencies, devDependencies } = packageJson()
    const document = textOf('docs/decisions/0005-dependencies.md')
    const named = matches(document, /^\| `(.+?)` \|/gm)
    expect(named.sort()).toEqual(Object.keys({ ...dependencies, ...optionalDependencies, ...devDependencies }).sort())
    const deployed = sectionOf(document, '5. Dependencies').split('For work on the project')[0] ?? ''
    expect(matches(deployed, /^\| `(.+?)` \|/gm)).toEqual(Object.keys(dependencies))
  })

  it('Docs/decisions are listed in their index, each with its title, and nothing else is', () => {
    const files = filesLike('docs/decisions/*').filter((file) => file !== INDEX)
    const expected = files.map((file) => {
      const name = path.basename(file)
      const [heading] = matches(textOf(file), /^# (.+)$/gm)
      const [number = '', title] = heading?.split('. ') ?? []
      return [`[${number.padStart(4, '0')}](${name})`, title]
    })
    expect(tableOf(textOf(INDEX), 'number').map(([link, title]) => [link, title])).toEqual(expected)
    expect(expected.length).toBeGreaterThan(15)
  })

  it('Docs/decisions are listed with a summary, and stand or name the later decision that changes them', () => {
    const rows = tableOf(textOf(INDEX), 'number')
    const numbers = rows.map(([link = '']) => link.slice(1, 5))
    const wrong = rows.filter(([link = '', , summary, status = '']) => {
      const [, later = ''] = /^superseded in part by (\d{4})$/.exec(status) ?? []
      const isLater = numbers.includes(later) && later > link.slice(1, 5)
      return !summary || !(status === 'stands' || isLater)
    })
    expect(wrong).toEqual([])
  })
})

describe('links', () => {
  const documents = filesLike('**/*.md')

  it('Links finds the documents', () => {
    expect(documents).toEqual(expect.arrayContaining(['README.md', 'docs/errors.md', 'emulator/README.md']))
  })

  it.each(documents)('Links of %s lead somewhere', (file) => {
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
