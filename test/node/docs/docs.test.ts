// The documents say what the code says. Each test names the document to correct, or the code that went without it.
import { describe, expect, it } from 'vitest'
import { JWT_REASONS } from '../../../src/contract/policy/jwtReasons.ts'
import { DEFAULT_POLICY } from '../../../src/contract/policy/policy.ts'
import { AUDIT_FILTERS, ROUTES, type Route } from '../../../src/contract/routes.ts'
import { SCOPES } from '../../../src/contract/scopes.ts'
import { ERRORS } from '../../../src/errors.ts'
import {
  fencesOf,
  filesLike,
  firstCells,
  linksOf,
  matches,
  packageJson,
  sectionOf,
  sources,
  sourceText,
  stringsOf,
  tableOf,
  textOf,
  unique,
} from './repository.ts'

describe('docs/errors.md', () => {
  const document = textOf('docs/errors.md')
  const documented = matches(document, /^### (.+)$/gm)

  it('Docs/errors.md has a section for every code, and for no other', () => {
    expect(documented).toEqual(Object.keys(ERRORS))
  })

  it.each(Object.entries(ERRORS))('Docs/errors.md tells status, number, cause, cure and repeat of %s', (code, row) => {
    const section = sectionOf(document, code)
    expect(section).toContain(`\n${row.status} · Cloudflare code ${row.cloudflareCode}\n`)
    expect(matches(section, /^- \*\*(Cause|Cure|Repeat):\*\* \S/gm)).toEqual(['Cause', 'Cure', 'Repeat'])
  })

  it('Docs/errors.md lists each code under its status', () => {
    for (const [status = '', codes = ''] of tableOf(document, 'status')) {
      const expected = Object.entries(ERRORS).filter(([, row]) => row.status === Number(status))
      expect(matches(codes, /\[(\w+)\]/g)).toEqual(expected.map(([code]) => code))
    }
    expect(linksOf(document).map((link) => link.replace(/^#/, ''))).toEqual(expect.arrayContaining(Object.keys(ERRORS)))
  })

  it('Docs/errors.md has no code that no part of src answers', () => {
    const elsewhere = sources
      .filter((file) => file !== 'src/errors.ts')
      .map(textOf)
      .join('\n')
    expect(Object.keys(ERRORS).filter((code) => !elsewhere.includes(`'${code}'`))).toEqual([])
  })

  it('Docs/errors.md is what the type of a problem links to', () => {
    expect(matches(sourceText, /PROBLEM_TYPE = '(.+)'/g)).toEqual([expect.stringMatching(/\/docs\/errors\.md#$/)])
  })
})

describe('docs/configuration.md', () => {
  const document = textOf('docs/configuration.md')
  const schema = /const Environment = z\.object\(\{\n([\s\S]*?)^\}\)/m.exec(textOf('src/env.ts'))?.[1] ?? ''
  const variables = matches(schema, /^ {2}([A-Z_]+):/gm)

  it('Docs/configuration.md names every variable, secret and binding, and no other', () => {
    const documented = ['Secrets', 'Variables', 'Bindings'].flatMap((heading) =>
      firstCells(tableOf(sectionOf(document, heading), 'name')),
    )
    expect(documented.sort()).toEqual([...variables].sort())
  })

  it('Docs/configuration.md tells the defaults of env.ts and the forms it checks', () => {
    const defaults = matches(schema, /(?:_default\(z\.string\(\), |upstreamUrl\()'([^']+)'/g)
    const forms = matches(schema, /regex\(\/(.+?)\/\)/g)
    for (const fallback of defaults) expect(document).toContain(fallback)
    for (const form of forms) expect(document).toContain(`\`${form}\``)
    expect([defaults.length, forms.length > 3]).toEqual([3, true])
  })

  it('Docs/configuration.md has every rate limiter as wrangler.toml sets it', () => {
    const text = textOf('wrangler.toml')
    const limiters = [...text.matchAll(/name = "(RATE_\w+)"\n.*\nsimple = \{ limit = (\d+), period = (\d+) \}/g)]
    expect(limiters).toHaveLength(5)
    const rows = tableOf(sectionOf(document, 'Bindings'), 'name')
    for (const [, name, limit, period] of limiters) {
      const written = `rate limiter, ${Number(limit).toLocaleString('en-US')} in ${period} s`
      expect(rows.find(([cell]) => cell === name)?.[1]).toBe(written)
    }
  })

  it('Wrangler.toml keeps the URL and headers of requests out of the logs: they hold names of subjects', () => {
    const logs = /\n\[observability\.logs\]\n([^[]*)/.exec(textOf('wrangler.toml'))?.[1]
    expect(logs).toContain('invocation_logs = false\n')
    expect(logs).toContain('enabled = true\n')
  })

  it('Docs/configuration.md has every setting of a policy with its default', () => {
    const documented = tableOf(document, 'setting').map(([name, fallback = '']) => [
      name,
      JSON.parse(fallback) as unknown,
    ])
    expect(Object.fromEntries(documented)).toEqual(DEFAULT_POLICY)
  })
})

describe('docs/browser.md', () => {
  const document = textOf('docs/browser.md')

  it('Docs/browser.md names every header a page can read, and every field of the answer and of the form', () => {
    const exposed = (/EXPOSED = '(.+)'/.exec(sourceText)?.[1] ?? '').split(', ')
    expect(exposed).toHaveLength(3)
    for (const header of exposed) expect(sectionOf(document, 'CORS')).toContain(`\`${header}\``)
    const answer = /type IceServersAnswer = \{([\s\S]*?)\n\}/.exec(sourceText)?.[1] ?? ''
    expect(firstCells(tableOf(document, 'field'))).toEqual(matches(answer, /^ {2}(\w+):/gm).sort())
    for (const source of stringsOf(/^ {2}source: ('minted.+)/m)) expect(document).toContain(`\`${source}\``)
    for (const field of matches(sourceText, /name !== '(\w+)'/g)) expect(document).toContain(`\`${field}\``)
  })

  it('Docs/browser.md says what to do about every error of the browser door', () => {
    const told = tableOf(sectionOf(document, 'Errors'), 'codes').flatMap(([codes = '']) => codes.split(', '))
    for (const code of told) expect(Object.keys(ERRORS)).toContain(code)
    const doors = [
      'body',
      'frame',
      'mount',
      'objects',
      'caller/cors',
      'caller/rateLimits',
      'routes/browser/iceServers',
    ].map((name) => `src/http/${name}.ts`)
    const issuing = ['issuing/issue', 'issuing/mint', 'turnKeys/secret', 'core/tenantRow', 'issuing/eligibility'].map(
      (name) => `src/tenant/${name}.ts`,
    )
    const below = ['src/cloudflare/failures.ts', 'src/storage/object.ts', 'src/concurrency/semaphore.ts']
    const thrown = matches([...doors, ...issuing, ...below].map(textOf).join('\n'), /(?:BrokerError\(|code: )'(\w+)'/g)
    // What a page cannot meet or mend: a wrong address, a tenant that goes, faults of the broker's operator.
    const elsewhere = ['conflict', 'https_required', 'internal', 'misconfigured', 'not_found']
    // Only where a repeat may do harm does an error say that the outcome is unknown.
    const iceServers: Route = ROUTES.iceServers
    if (iceServers.repeatable) elsewhere.push('outcome_unknown')
    expect(thrown.length).toBeGreaterThan(10)
    expect(unique(thrown).filter((code) => !elsewhere.includes(code) && !told.includes(code))).toEqual([])
  })
})

describe('ARCHITECTURE.md', () => {
  const document = textOf('ARCHITECTURE.md')

  it('ARCHITECTURE.md shows every room and every entry of src, and every other folder', () => {
    const [layout = ''] = fencesOf(sectionOf(document, 'Where what lives')).map(({ code }) => code)
    const shown: string[] = []
    const around: string[] = []
    for (const [, indent = '', name = ''] of layout.matchAll(/^( *)([\w.]+\/?)(?: |$)/gm)) {
      around.splice(indent.length / 2, around.length, name)
      shown.push(around.join(''))
    }
    const rooms = sources.map((file) => file.slice(0, file.lastIndexOf('/') + 1))
    const entries = sources.filter((file) => file.split('/').length === 2)
    const folders = filesLike('{bench,docs,emulator,examples,packages,public,scripts,test}/**/*.*').map(
      (file) => `${file.split('/')[0]}/`,
    )
    expect(unique(shown)).toEqual(unique([...rooms, ...entries, ...folders]))
  })

  it('ARCHITECTURE.md names only files of src that there are', () => {
    const named = matches(
      document,
      /`((?:tenant|http|cloudflare|contract|auth|storage|cache|account|rpc|concurrency|crypto)\/(?:\w+\/)*\w+\.ts)`/g,
    )
    expect(named.length).toBeGreaterThan(5)
    expect(named.filter((file) => !sources.includes(`src/${file}`))).toEqual([])
    const ofTenant = ['Issuing', 'Revoking'].flatMap((part) => matches(sectionOf(document, part), /`(\w+\.ts)`/g))
    expect(ofTenant.length).toBeGreaterThan(4)
    expect(
      ofTenant.filter(
        (file) => !sources.some((source) => source.startsWith('src/tenant/') && source.endsWith(`/${file}`)),
      ),
    ).toEqual([])
  })
})

describe('README.md', () => {
  const document = textOf('README.md')

  it('README.md lists every route with who may use it', () => {
    const listed = tableOf(document, 'method and path').map(([route, who = '']) => `${route} ${who.split(';')[0]}`)
    const expected = Object.values(ROUTES).map((route) => `${route.method} ${pathOf(route)} ${whoOf(route)}`)
    expect(listed.sort()).toEqual(expected.sort())
  })

  it('README.md lists every scope', () => {
    for (const scope of SCOPES) expect(document).toContain(`\`${scope}\``)
    const used = Object.values(ROUTES).flatMap(({ access }: Route) =>
      typeof access === 'object' ? [access.scope] : [],
    )
    const idle = SCOPES.filter((scope) => !used.includes(scope) && scope !== 'turn_keys:reveal')
    expect(matches(document.replaceAll(/\s+/g, ' '), /Nothing asks for `(\S+)` yet/g)).toEqual(idle)
  })

  it('README.md lists every filter of the audit trail', () => {
    expect(document).toContain(`?${AUDIT_FILTERS.map((name) => `${name}=`).join('&')}`)
  })

  it('README.md names only scripts that package.json has', () => {
    const { scripts } = packageJson()
    for (const file of ['README.md', 'CONTRIBUTING.md']) {
      const named = matches(textOf(file), /npm run (?:--silent )?([a-z:]+)/g)
      expect(Object.keys(scripts)).toEqual(expect.arrayContaining(named))
    }
    expect(scripts.test).toBeDefined()
  })

  it('README.md names only variables that there are', () => {
    const named = firstCells(tableOf(sectionOf(document, 'Configuration'), 'name'))
    expect(firstCells(['Secrets', 'Variables'].flatMap(configured))).toEqual(expect.arrayContaining(named))
  })
})

const configured = (heading: string): string[][] => tableOf(sectionOf(textOf('docs/configuration.md'), heading), 'name')

const pathOf = ({ path }: Route) => path.replaceAll(/:([a-z_]+)/g, '{$1}')

function whoOf({ access }: Route): string {
  if (access === 'public') return 'anyone'
  if (access === 'client-token') return 'client token'
  return access === 'admin' ? 'admin' : `scope ${access.scope}`
}

describe('docs/identity-providers.md', () => {
  it('Docs/identity-providers.md says what each reason means for which a JWT is refused', () => {
    const codes = firstCells(tableOf(textOf('docs/identity-providers.md'), 'reason')).flatMap((cell) =>
      cell.split(', '),
    )
    expect(codes.sort()).toEqual(unique(Object.values(JWT_REASONS).flat()).sort())
  })
})
