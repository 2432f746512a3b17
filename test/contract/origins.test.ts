/** Which web origins a policy and a client token may name, and what is said of each other one. */
import { describe, expect, it } from 'vitest'
import { allowsOrigin, isOriginShaped, isWide, OriginRule, WebOrigin } from '../../src/contract/policy/origins.ts'

/** Rows of what they have in common, and the texts, separated by spaces. */
const GOOD: [what: string, origins: string][] = [
  ['https', 'https://app.example.com https://app.example.com:8443 https://my_app.example.com https://intranet'],
  ['an international host', 'https://xn--bcher-kva.example https://app.xn--p1ai'],
  ['an address', 'https://203.0.113.7 https://[2001:db8::1]:8443'],
  ['loopback', 'http://localhost http://localhost:5173 http://127.0.0.1:8080 http://127.1.2.3 http://[::1]:3000'],
  ['a name under localhost', 'http://tauri.localhost http://app.localhost:5173 https://tauri.localhost'],
  ['a private address', 'http://10.0.0.7:5173 http://172.16.0.1 http://172.31.255.254 http://192.168.1.20:5173'],
  ['a link-local address', 'http://169.254.7.7 http://[fe80::1]:5173 http://[febf::1]'],
  ['a unique local address', 'http://[fc00::1] http://[fd12:3456:789a::1]:5173'],
  ['a name of multicast DNS', 'http://macbook.local:5173'],
  ['an app shell', 'capacitor://localhost ionic://localhost tauri://localhost capacitor-electron://- app://.'],
  ['any other app', 'app://obsidian.md my.company+app://main app://localhost:3000 x-1://a_b'],
  ['an extension', 'chrome-extension://caapplnpkaphcokmjfaboianmbigfdcf'],
  ['an extension of Firefox', 'moz-extension://944cfddf-7a95-4c47-bd9a-663b3ce8d699'],
  ['no host', 'null'],
]

const WIDE = 'https://*.example.com https://*.example.com:8443 https://*.xn--bcher-kva.example'
const WILDCARDS: [what: string, rules: string][] = [
  ['three labels or more', 'https://*.app.example.com https://*.a.b.example.com:8443 https://*.example.co.uk'],
  ['a customer’s domain at a hoster', 'https://*.my-project.pages.dev https://*.me.workers.dev'],
  ['two labels', WIDE],
  ['random ids of extensions', 'moz-extension://* safari-web-extension://*'],
]

const SHAPE = 'must be scheme://host or scheme://host:port'
const SCHEME = 'must be https, or the scheme of an app'
const PATH = 'must have no path, not even /'
const USER = 'must have no user name'
const HOST = 'must have one host of a-z, 0-9'
const PORT = 'must leave out the default port'
const AS_SENT = 'must have host and port as browsers send them'
const HTTPS = 'must be https, unless its host is'
const CASE = 'must be in lower case'
const ASCII = 'must be ASCII: write an international host as xn--…'
const STAR = 'may have * only as in'
const STRANGERS = 'must not have * under a domain where strangers have hosts'

const BAD: [what: string, problem: string, rules: string][] = [
  ['no scheme', SHAPE, 'app.example.com localhost:5173 https:app.example.com //app.example.com 1x://app'],
  ['no slashes', SHAPE, "undefined 'null' nullx data:,x blob:null about:blank mailto:a@a.example"],
  ['a scheme without origins of its own', SCHEME, 'file:// file:///index.html blob://x data://x content://x'],
  ['a scheme of code or transfer', SCHEME, 'javascript://x ftp://files.example.com about://blank view-source://x'],
  ['a scheme of web sockets', SCHEME, 'ws://localhost:5173 wss://app.example.com'],
  ['more than an origin', PATH, 'https://a.example/ https://a.example/x https://a.example?x app://x# app:///'],
  ['user information', USER, 'https://u@a.example https://u:p@a.example tauri://u@localhost'],
  ['no host', HOST, 'https:// tauri:// https://:8443 app://:80'],
  ['several hosts', HOST, 'https://a.example,b.example app://a,b'],
  ['characters of no host', HOST, 'https://a%2eexample https://a\\b https://[::1 https://a.example: app://a:x'],
  ['a port of six digits', HOST, 'https://a.example:123456 app://a:123456'],
  ['the default port', PORT, 'https://a.example:443 https://[2001:db8::1]:443 https://*.app.example.com:443'],
  ['the default port of http', PORT, 'http://localhost:80 http://192.168.1.20:80'],
  ['a final dot', AS_SENT, 'https://a.example. https://a.example.:8443 http://localhost. https://*.app.example.com.'],
  [
    'an empty label',
    AS_SENT,
    'https://.example https://a..example https://. https://*..com https://*..app.example.com',
  ],
  ['a port as no browser sends it', AS_SENT, 'https://a.example:0443 https://a.example:65536 http://localhost:08080'],
  ['an address as no browser sends it', AS_SENT, 'http://127.1 http://0x7f.0.0.1 http://2130706433 https://1.2.3.4.5'],
  ['an IPv6 address as no browser sends it', AS_SENT, 'http://[0:0:0:0:0:0:0:1] https://[::ffff:10.0.0.1]'],
  ['a part of an address behind a star', AS_SENT, 'https://*.168.1.20 https://*.1.1.1'],
  ['http and a public host', HTTPS, 'http://a.example http://203.0.113.7 http://[2001:db8::1] http://intranet'],
  ['http and a name like loopback', HTTPS, 'http://localhost.example http://127.0.0.1.example http://notlocalhost'],
  [
    'http and an address near private ones',
    HTTPS,
    'http://172.15.0.1 http://172.32.0.1 http://192.169.1.1 http://11.0.0.1',
  ],
  [
    'http and an IPv6 address near private ones',
    HTTPS,
    'http://[fb00::1] http://[fe00::1] http://[fec0::1] http://[fc::1]',
  ],
  [
    'http and what looks private',
    HTTPS,
    'http://10.0.0.1.example http://mylocal http://100.64.0.1 http://[::ffff:a00:1]',
  ],
  ['upper case', CASE, 'https://App.example HTTPS://a.example Tauri://localhost NULL http://[FD00::1]'],
  ['an international host as people write it', ASCII, 'https://bücher.example https://пример.рф https://a。example'],
  ['a star alone', STAR, '* *://a.example *://* https://* *.example.com'],
  ['a star within a label', STAR, 'https://pr-*.app.example.com https://*-team.vercel.app https://a*.app.example.com'],
  [
    'a star elsewhere',
    STAR,
    'https://app.*.example.com https://app.example.* https://a.example.com:* https://u@*.example.com',
  ],
  [
    'two stars',
    STAR,
    'https://*.*.example.com https://**.app.example.com moz-extension://** https://*.a.example.com:*',
  ],
  ['a star of plain http', STAR, 'http://*.localhost:5173 http://*.app.example.com http://192.168.1.*'],
  ['a star of an app', STAR, 'capacitor://* tauri://* app://*.x.y.z chrome-extension://* moz-extension://*:80'],
  [
    'a star under a top level domain',
    STRANGERS,
    'https://*.com https://*.localhost https://*.app https://*. https://*.:8443',
  ],
  ['a star under a public suffix', STRANGERS, 'https://*.co.uk https://*.com.au https://*.or.at https://*.ne.jp'],
  [
    'a star under a host of pages',
    STRANGERS,
    'https://*.vercel.app https://*.netlify.app https://*.pages.dev https://*.github.io',
  ],
  ['a star under a host of programs', STRANGERS, 'https://*.workers.dev https://*.web.app https://*.fly.dev:8443'],
  ['a star deep under a cloud', STRANGERS, 'https://*.s3.eu-west-1.amazonaws.com https://*.us-central1.run.app'],
  [
    'a star deep under a forwarder',
    STRANGERS,
    'https://*.app.github.dev https://*.eu.ngrok-free.app https://*.ngrok-free.app',
  ],
  ['a star and more than an origin', PATH, 'https://*.app.example.com/ https://*.app.example.com?x'],
]

const problemOf = (schema: typeof OriginRule, text: string): string =>
  schema.safeParse(text).error?.issues[0]?.message ?? 'none'

describe('an origin of a policy', () => {
  it.each(GOOD)('An origin of a policy may have %s, as that of a client token', (_, origins) => {
    for (const origin of origins.split(' ')) {
      expect(problemOf(OriginRule, origin), origin).toBe('none')
      expect(problemOf(WebOrigin, origin), origin).toBe('none')
      expect(isOriginShaped(origin), origin).toBe(true)
      expect(allowsOrigin(['https://other.example', origin], origin), origin).toBe(true)
      expect(isWide(origin), origin).toBe(false)
    }
  })

  it.each(WILDCARDS)(
    'An origin of a policy may have a star for the host under %s, that of a client token may not',
    (_, rules) => {
      for (const rule of rules.split(' ')) {
        expect(problemOf(OriginRule, rule), rule).toBe('none')
        expect(problemOf(WebOrigin, rule), rule).toContain(HOST)
        expect(isWide(rule), rule).toBe(rules === WIDE)
      }
    },
  )

  it.each(BAD)('An origin of a policy that has %s is refused with “… %s …”', (_, problem, rules) => {
    for (const rule of rules.split(' ')) expect(problemOf(OriginRule, rule), rule).toContain(problem)
  })

  it('An origin of a policy is not empty and has no white space', () => {
    const spaced = [' https://a.example', 'https://a.example ', 'https://a.example https://b.example', 'null\n', 'a\tb']
    for (const rule of spaced) expect(problemOf(OriginRule, rule), rule).toContain(ASCII)
    expect(problemOf(OriginRule, '')).toContain(SHAPE)
  })

  it('An origin of a policy is text of at most 255 characters', () => {
    for (const value of [1, null, {}, [], true]) expect(OriginRule.safeParse(value).success).toBe(false)
    const longest = `tauri://${'a'.repeat(247)}`
    for (const schema of [OriginRule, WebOrigin]) {
      expect(schema.safeParse(longest).success).toBe(true)
      expect(schema.safeParse(`${longest}a`).success).toBe(false)
    }
    expect([isOriginShaped(longest), isOriginShaped(`${longest}a`)]).toEqual([true, false])
  })
})
