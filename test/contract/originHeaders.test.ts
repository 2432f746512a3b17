/** Which rule of a policy an `Origin` header meets: the same text, or a wildcard, and nothing that only looks like it. */
import { describe, expect, it } from 'vitest'
import { allowsOrigin } from '../../src/contract/policy/origins.ts'

const UUID = '944cfddf-7a95-4c47-bd9a-663b3ce8d699'
const ID = '[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}'

/** A rule, all that may meet it, and one header that does. */
const WILDCARDS: [rule: string, met: RegExp, header: string][] = [
  ['https://*.app.example.com', /^https:\/\/[a-z0-9_-]{1,63}\.app\.example\.com$/, 'https://pr-7.app.example.com'],
  ['https://*.example.com:8443', /^https:\/\/[a-z0-9_-]{1,63}\.example\.com:8443$/, 'https://a.example.com:8443'],
  ['moz-extension://*', new RegExp(`^moz-extension://${ID}$`), `moz-extension://${UUID}`],
  [
    'safari-web-extension://*',
    new RegExp(`^safari-web-extension://${ID}$`),
    `safari-web-extension://${UUID.toUpperCase()}`,
  ],
]

const NEVER = `
  https://app.example.com https://.app.example.com https://evilapp.example.com https://a.evilapp.example.com
  https://a.b.app.example.com https://a.app.example.com. https://a.app.example.com.evil.test https://app.example.com.evil.test
  https://a.app.example.com:443 https://a.app.example.com:8443 http://a.app.example.com wss://a.app.example.com
  https://a.app.example.com/ https://u@a.app.example.com https://evil.test/.app.example.com https://evil.test#.app.example.com
  https://evil.test?.app.example.com https://evil.test:1.app.example.com https://evil.test\\.app.example.com
  https://A.app.example.com https://ä.app.example.com https://*.app.example.com *.app.example.com https://%61.app.example.com
  https://[::1].app.example.com https://${'a'.repeat(64)}.app.example.com https://a.app.example.co https://app.example.com@a
  moz-extension://* moz-extension:// moz-extension://x moz-extension://${UUID}.evil.test moz-extension://${UUID}:80
  moz-extension://a${UUID} moz-extension://u@${UUID} chrome-extension://${UUID} x-moz-extension://${UUID}
  capacitor://localhost:80 capacitor://localhost/ ionic://localhost null`.split(/\s+/)

describe('an Origin header', () => {
  it('An Origin header that only looks like one of the policy meets no rule', () => {
    const rules = ['https://*.app.example.com', 'moz-extension://*', 'capacitor://localhost']
    expect(NEVER.filter((origin) => allowsOrigin(rules, origin))).toEqual([])
    expect(allowsOrigin(rules, 'https://a.app.example.com https://b.app.example.com')).toBe(false)
    expect(allowsOrigin([], 'null')).toBe(false)
  })

  it.each(WILDCARDS)(
    'An Origin header one or two edits away meets %s only with one label or a UUID',
    (rule, met, header) => {
      expect(allowsOrigin(['https://other.example', rule], header)).toBe(true)
      const headers = [
        ...near(header),
        ...near(header)
          .filter((_, n) => n % 97 === 0)
          .flatMap(near),
      ]
      expect(headers.filter((origin) => allowsOrigin([rule], origin) !== met.test(origin))).toEqual([])
      expect(headers.filter((origin) => met.test(origin)).length).toBeGreaterThan(20)
    },
  )

  it('An Origin header meets a rule without a wildcard only as the same text', () => {
    const rules = ['https://app.example.com', 'tauri://localhost', 'http://192.168.1.20:5173', 'null']
    for (const rule of rules) {
      expect(near(rule).filter((origin) => origin !== rule && allowsOrigin([rule], origin))).toEqual([])
      expect(rules.filter((origin) => allowsOrigin([rule], origin))).toEqual([rule])
    }
  })
})

/** Each text that is one insertion, deletion or substitution away. */
function near(text: string): string[] {
  const places = [...text, ''].map((_, at) => [text.slice(0, at), text.slice(at), text.slice(at + 1)] as const)
  const edits = [...'a9F.-_:/@*#?%\\ ', '', 'ä', '..', 'com', '\n']
  return places.flatMap(([before, from, after]) =>
    edits.flatMap((edit) => [before + edit + from, before + edit + after]),
  )
}
