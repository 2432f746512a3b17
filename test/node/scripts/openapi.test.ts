// What `npm run openapi` builds: in date, whole, with valid examples, and a page that stands alone.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { dereference, type Schema, validate } from '@cfworker/json-schema'
import { expect, it, onTestFinished } from 'vitest'
import { lengthsOf } from '../../../scripts/openapi/refinements.ts'
import { ROUTES, type Route } from '../../../src/contract/routes.ts'
import { matches, root, textOf } from '../docs/repository.ts'

// biome-ignore lint/suspicious/noExplicitAny: the shape of the document is what is asserted
const document: any = JSON.parse(textOf('public/openapi.json'))
const html = textOf('public/docs.html')

/** Every object of the document, with the keys that lead to it. */
function* objectsIn(value: unknown, at: string[] = []): Generator<[at: string[], object: Record<string, unknown>]> {
  if (typeof value !== 'object' || value === null) return
  if (!Array.isArray(value)) yield [at, value as Record<string, unknown>] // no array
  for (const [key, inner] of Object.entries(value)) yield* objectsIn(inner, [...at, key])
}

it('The check of the OpenAPI document fails for a file that differs in one byte, or is missing', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'openapi-'))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  cpSync(path.join(root, 'public'), folder, { recursive: true })
  const check = () =>
    spawnSync(process.execPath, ['scripts/openapi.ts', '--check', folder], { cwd: root, encoding: 'utf8' })
  expect(check()).toMatchObject({ status: 0, stderr: '' })
  writeFileSync(path.join(folder, 'openapi.json'), `${textOf('public/openapi.json')} `)
  rmSync(path.join(folder, 'docs.html'))
  const { status, stderr } = check()
  expect(status).toBe(1)
  expect(stderr).toContain('public/openapi.json is out of date')
  expect(stderr).toContain('public/docs.html is out of date')
})

it('The OpenAPI document has exactly the routes of the contract, each with its name as operationId', () => {
  const listed = Object.entries(document.paths as object).flatMap(([route, item]) =>
    Object.entries(item as object)
      .filter(([method]) => method !== 'parameters')
      .map(([method, operation]) => `${method.toUpperCase()} ${route} ${operation.operationId}`),
  )
  const expected = Object.entries(ROUTES).map(
    ([name, { method, path: route }]: [string, Route]) =>
      `${method} ${route.replaceAll(/:([a-z_]+)/g, '{$1}')} ${name}`,
  )
  expect(listed.sort()).toEqual(expected.sort())
})

it('Every operation of the OpenAPI document names the token and the scope or role that the contract asks for', () => {
  const securityOf = ({ method, path: route }: Route) =>
    document.paths[route.replaceAll(/:([a-z_]+)/g, '{$1}')][method.toLowerCase()].security
  for (const [name, route] of Object.entries(ROUTES) as [string, Route][]) {
    // as the table has them
    const { access, basic, role } = route
    const expected =
      access === 'public'
        ? []
        : access === 'admin'
          ? [{ adminToken: [] }, { accessAssertion: [role] }]
          : access === 'client-token'
            ? [{ clientToken: [] }, { tenantJwt: [] }, {}]
            : [
                { apiToken: [access.scope] },
                ...(basic ? [{ apiTokenAsPassword: [access.scope] }] : []),
                { adminToken: [] },
              ]
    expect(securityOf(route), name).toEqual(expected)
  }
})

it('Every reference in the OpenAPI document leads somewhere', () => {
  const broken = [...objectsIn(document)]
    .flatMap(([, { $ref }]) => (typeof $ref === 'string' ? [$ref] : []))
    .filter(
      ($ref) =>
        $ref
          .slice(2)
          .split('/')
          .reduce((found, key) => found?.[key], document) === undefined,
    )
  expect(broken).toEqual([])
})

it('Every example of a body in the OpenAPI document fits its schema', () => {
  const { schemas, responses } = document.components
  const base = new URL('https://openapi.test/openapi.json')
  const lookup = dereference({ paths: document.paths, components: { schemas, responses } } as Schema, undefined, base)
  const wrong: string[] = []
  let tried = 0
  for (const [at, { schema, examples }] of objectsIn({ paths: document.paths, responses })) {
    for (const { $ref } of Object.values((examples ?? {}) as Record<string, { $ref: string }>)) {
      const { value } = document.components.examples[$ref.split('/').at(-1) ?? '']
      tried++
      const { valid, errors } = validate(value, schema as Schema, '2020-12', lookup, false)
      if (!valid) wrong.push(`${at.join(' ')}: ${errors.at(-1)?.instanceLocation} ${errors.at(-1)?.error}`)
    }
  }
  expect(wrong).toEqual([])
  expect(tried).toBeGreaterThan(100)
})

it.each([
  ['^[A-Za-z0-9_-]{32}$', { min: 32, max: 32 }],
  ['^cr_[0-9A-Za-z]{10}[0-9]{12}$', { min: 25, max: 25 }],
  ['^su_[0-9A-Za-z]{22}$', { min: 25, max: 25 }],
  ['^[a-z0-9][a-z0-9-]{0,31}$', { min: 1, max: 32 }],
  ['^[\\x21-\\x7e]{1,255}$', { min: 1, max: 255 }],
  ['^[a-z]+$', undefined],
  ['^(a|b)$', undefined],
  ['[a-z]{3}', undefined],
])('The lengths of the pattern %s are known or left open', (pattern, lengths) => {
  expect(lengthsOf(pattern)).toEqual(lengths)
})

it('The page of the OpenAPI document shows every operation and every schema, and each of its links has a target', () => {
  const ids = matches(html, /\bid="([^"]+)"/g)
  expect(ids).toHaveLength(new Set(ids).size)
  expect(ids).toEqual(expect.arrayContaining(Object.keys(ROUTES)))
  const headings = matches(html, /<h3>([^<]+)<\/h3>/g)
  expect(headings).toEqual(expect.arrayContaining(Object.keys(document.components.schemas)))
  const targets = matches(html, /href="#([^"]+)"/g)
  expect(targets.length).toBeGreaterThan(100)
  expect(targets.filter((target) => !ids.includes(target))).toEqual([])
})

it('The page of the OpenAPI document loads nothing but its style: no script, no image, no other host', () => {
  expect(html).not.toMatch(/<(?:script|img|iframe|object|embed|form|style)\b|\son\w+=|\sstyle=|\ssrc=/i)
  expect(html.match(/<link\b[^>]*>/g)).toEqual(['<link rel="stylesheet" href="/docs.css">'])
  expect(textOf('public/docs.css')).not.toMatch(/@import|url\(/)
  const outside = matches(html, /href="([^"#][^"]*)"/g).filter((link) => !link.startsWith('/'))
  expect(outside.filter((link) => !link.startsWith('https://github.com/turn-broker/'))).toEqual([])
})

it('The page of the OpenAPI document describes each header once, and every operation links those it has', () => {
  const headers = Object.values(
    document.components.parameters as Record<string, { in: string; name: string; description: string }>,
  )
  const named = headers.filter((parameter) => parameter.in === 'header')
  expect(named.length).toBeGreaterThan(3)
  for (const { name } of named) {
    const anchor = `request-header-${name.toLowerCase()}`
    expect(matches(html, new RegExp(`id="${anchor}"`, 'g')), name).toHaveLength(1)
    const uses = JSON.stringify(document.paths).split(`header.${name}"`).length - 1
    expect(html.split(`href="#${anchor}"`).length - 1, name).toBe(uses)
  }
  for (const name of Object.keys(document.components.headers)) {
    expect(html.split(`id="header-${name.toLowerCase()}"`), name).toHaveLength(2)
  }
})
