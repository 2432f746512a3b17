// docs/protocol.md and docs/recipes.md: what they say about errors and numbers, compared with the broker and its library.
import { describe, expect, it } from 'vitest'
import { ERRORS } from '../../../src/errors.ts'
import { fencesOf, matches, sectionOf, sourceText, tableOf, textOf, unique } from './repository.ts'

const document = textOf('docs/protocol.md')
const waits = tableOf(document, 'after')
const library = textOf('src/client/iceServers.ts')
const request = textOf('src/client/request.ts')
const endsIn = (text: string, pattern: RegExp) => unique(matches(pattern.exec(text)?.[1] ?? '', /['"](\w+)['"]/g))
const ENDS = endsIn(library, /const ENDS = \[(.+)\]/)

describe('docs/protocol.md', () => {
  it('Docs/protocol.md stops after the refusals after which the library stops, and so does the recipe for Python', () => {
    const [stop = ''] = waits.map(([after = '', wait = '']) => (wait.startsWith('stop.') ? after : '')).filter(Boolean)
    expect(ENDS.length).toBeGreaterThan(2)
    expect(unique(stop.replace('403 ', '').split(', '))).toEqual(ENDS)
    expect(endsIn(textOf('docs/recipes.md'), /^FINAL = \((.+)\)$/m)).toEqual(ENDS)
    for (const code of ENDS) expect(ERRORS).toHaveProperty(code)
  })

  it('Docs/protocol.md says what to do after every status that the broker has', () => {
    const said = waits.flatMap(([after = '']) => matches(after, /\b(\d{3})\b/g).map(Number))
    const statuses = new Set(Object.values(ERRORS).map(({ status }) => status))
    // Of routes that are not the browser door.
    for (const elsewhere of [405, 409, 410, 412, 422, 428]) statuses.delete(elsewhere as 409)
    expect([...statuses].filter((status) => !said.includes(status))).toEqual([])
  })

  it('Docs/protocol.md shows the fields of an answer, and each of its sources', () => {
    const [{ code } = { code: '' }] = fencesOf(document).filter(({ language }) => language === 'json')
    const type = /type IceServersAnswer = \{([\s\S]*?)\n\}/.exec(sourceText)?.[1] ?? ''
    expect(Object.keys(JSON.parse(code) as object).sort()).toEqual(matches(type, /^ {2}(\w+):/gm).sort())
    for (const source of matches(textOf('src/client/api.ts'), /source: (.+)$/gm).flatMap((it) =>
      matches(it, /'(.+?)'/g),
    ))
      expect(sectionOf(document, 'What comes')).toContain(`\`${source}\``)
  })

  it('Docs/protocol.md has the numbers of the library', () => {
    const said = document.replaceAll(/\s+/g, ' ')
    expect(request).toContain('REQUEST_DEADLINE_MS = 10 * SECOND_MS')
    expect(said).toContain('Give up after 10 seconds')
    expect(library).toContain('MAX_BACKOFF_SECONDS = 60')
    expect(request).toContain('MAX_RETRY_AFTER_SECONDS = 60')
    expect(said).toContain('`Retry-After` seconds, 60 at most; and a random time between 1 s and 2, 4, 8 … 60 s')
    expect(library).toContain('BACK_ONLINE_MS = [SECOND_MS, 3 * SECOND_MS]')
    expect(said).toContain('When the network comes back, 1 to 3 s')
    expect(library).toMatch(/FORCE_MS = 10 \* SECOND_MS\nconst MAX_FORCE_MS = 600 \* SECOND_MS/)
    expect(said).toContain('10, 20, 40 … 600 s')
    expect(textOf('src/client/connections.ts')).toContain('LAST_LOOK_MS = 30 * SECOND_MS')
    expect(said).toContain('look again 30 s before its credential ends')
  })
})
