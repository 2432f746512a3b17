/** G10: which addresses of key sets a policy refuses. */
import { describe, expect, it } from 'vitest'
import { outcomeOf } from '../support/broker/contract.ts'
import { accountSql } from '../support/storage/tenantRows.ts'
import { acmeBroker, GOOD_URL, others, right } from './identityProviders/policies.ts'

const BAD_URLS = [
  'http://login.example/jwks',
  'HTTP://login.example/jwks',
  'ftp://login.example/jwks',
  'file:///etc/passwd',
  'data:application/json,{"keys":[]}',
  'javascript:1',
  '//login.example/jwks',
  '/jwks',
  'login.example/jwks',
  'https:',
  'https://',
  'https:///jwks',
  '',
  ' ',
  'https://login.example:8443/jwks',
  'https://login.example:80/jwks',
  'https://user@login.example/jwks',
  'https://user:pass@login.example/jwks',
  'https://:pass@login.example/jwks',
  'https://api.cloudflare.com@evil.example/jwks',
  'https://login.example/jwks#keys',
  'https://127.0.0.1/jwks',
  'https://10.0.0.1/jwks',
  'https://169.254.169.254/latest/meta-data',
  'https://1.1.1.1/jwks',
  'https://2130706433/jwks',
  'https://0x7f000001/jwks',
  'https://0x7f.0.0.1/jwks',
  'https://0177.0.0.1/jwks',
  'https://127.1/jwks',
  'https://0/jwks',
  'https://127.0.0.1./jwks',
  'https://①②⑦.⓪.⓪.①/jwks',
  'https://[::1]/jwks',
  'https://[::ffff:127.0.0.1]/jwks',
  'https://[fd00::1]/jwks',
  'https://[2606:4700::1111]/jwks',
  'https://localhost/jwks',
  'https://LOCALHOST/jwks',
  'https://localhost./jwks',
  'https://app.localhost/jwks',
  'https://printer.local/jwks',
  'https://metadata.google.internal/jwks',
  'https://METADATA.google.INTERNAL/jwks',
  'https://router.home.arpa/jwks',
  'https://intranet/jwks',
  'https://com/jwks',
  'https://login.example./jwks',
  'https://login..example/jwks',
  'https://.example/jwks',
  'https://-login.example/jwks',
  'https://login-.example/jwks',
  'https://lo_gin.example/jwks',
  'https://login.1/jwks',
  'https://log in.example/jwks',
  'https://login%2eexample%00/jwks',
  'https://*.example/jwks',
  'https:login.example/jwks',
  'https:\\\\login.example\\jwks',
  'https://login.example\t/jwks',
  'https://login.example/jwks\n',
  ' https://login.example/jwks',
  // Taken by URL parsers, and asked for in another form than was written.
  'https:///login.example/jwks',
  'https://login.example\\@evil.test/jwks',
  'https://login.example:443/jwks',
  'https://LOGIN.example/jwks',
  'https://login.example/a/../jwks',
  `https://${'a'.repeat(64)}.example/jwks`,
  `https://${'a.'.repeat(124)}example/jwks`,
  `https://login.example/${'a'.repeat(512)}`,
]

describe('G10: the address of a key set', () => {
  it('G10: The address of a key set is https of a DNS name on port 443, without anything that leads elsewhere; all else is a 400', async () => {
    const broker = await acmeBroker()
    const bad = [...BAD_URLS, 1, null, true, [GOOD_URL], { href: GOOD_URL }]
    const rows = bad.map((jwksUrl): [string, unknown] => [String(jwksUrl), [right({ jwksUrl })]])
    expect(await others('400 invalid_request', broker, rows)).toEqual([])
    const create = { id: 'globex', name: 'G', region: 'weur', policy: { issuers: [right({ jwksUrl: BAD_URLS[0] })] } }
    expect(outcomeOf(await broker.admin('POST', '/tenants', create))).toBe('400 invalid_request')
    expect(await accountSql('SELECT * FROM issuers'), 'nothing was claimed').toEqual([])

    const good = [GOOD_URL, 'https://a.b.c.login.example/x?y=z', 'https://xn--bcher-kva.example/k']
    const fine = good.map((jwksUrl): [string, unknown] => [jwksUrl, [right({ jwksUrl })]])
    expect(await others('200', broker, fine)).toEqual([])
  })

  it('G10: The address of a key set that looks like another is refused: an operator sees the name that is asked', async () => {
    const broker = await acmeBroker()
    const looks = {
      'a Cyrillic o': 'l\u043egin.example',
      'full width': 'ｌogin.example',
      'a soft hyphen': 'log\u00adin.example',
    }
    const more = {
      'a dot that is none': 'login\u3002example',
      umlauts: 'bücher.example',
      'a turn of direction': '\u202elogin.example',
    }
    const rows = Object.entries({ ...looks, ...more }).map(([name, host]): [string, unknown] => [
      name,
      [right({ jwksUrl: `https://${host}/jwks` })],
    ])
    expect(await others('400 invalid_request', broker, rows)).toEqual([])
  })
})
