// What docs/configuration.md and docs/browser.md say of origins, as the policy takes and refuses them.
import { describe, expect, it } from 'vitest'
import { allowsOrigin, OriginRule } from '../../../src/contract/policy/origins.ts'
import { matches, sectionOf, tableOf, textOf } from './repository.ts'

const section = sectionOf(textOf('docs/configuration.md'), 'allowedOrigins')
const problemOf = (rule: string) => OriginRule.safeParse(rule).error?.issues[0]?.message ?? 'none'

describe('docs on origins', () => {
  it('Docs on origins give only examples that a policy takes', () => {
    const examples = tableOf(section, 'entry').flatMap(([, cell = '']) => cell.split(', '))
    const written = tableOf(textOf('docs/browser.md'), 'kind of app').flatMap((row) =>
      matches(row.join(' '), /(\S+:\/\/[^\s,;()]+)/g),
    )
    expect(examples.length).toBeGreaterThan(8)
    expect(written.length).toBeGreaterThan(15)
    const refused = [...examples, ...written].filter((rule) => problemOf(rule) !== 'none')
    // These name the scheme alone, before "and its id", or stand for a whole address.
    expect(refused.filter((rule) => !rule.endsWith('://'))).toEqual([])
  })

  it('Docs on origins name schemes that are refused', () => {
    const [, , rule = ''] = tableOf(section, 'entry').find(([entry]) => entry === 'app shell or extension') ?? []
    const schemes = rule.slice(rule.indexOf('Refused: ') + 9).split(', ')
    expect(schemes.length).toBeGreaterThan(9)
    for (const scheme of schemes) expect(problemOf(`${scheme}://x`), scheme).toMatch(/^must be https/)
  })

  it('Docs on origins name domains under which a wildcard is refused', () => {
    const domains = matches(section.slice(section.indexOf('A wildcard is refused')), /`([a-z0-9.-]+\.[a-z]+)`/g)
    expect(domains.length).toBeGreaterThan(25)
    for (const domain of domains) expect(problemOf(`https://*.${domain}`), domain).toMatch(/^must not have \*/)
    const deep = domains.slice(domains.indexOf('amazonaws.com'))
    for (const domain of deep) expect(problemOf(`https://*.any.depth.${domain}`), domain).toMatch(/^must not have \*/)
  })

  it('Docs on origins say which hosts meet a wildcard', () => {
    const hosts = ['https://a.app.example.com', 'https://app.example.com', 'https://a.b.app.example.com']
    expect(section).toContain(
      '`https://a.app.example.com` meets it, `https://app.example.com` and `https://a.b.app.example.com` do not',
    )
    expect(hosts.map((host) => allowsOrigin(['https://*.app.example.com'], host))).toEqual([true, false, false])
  })
})
