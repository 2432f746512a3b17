// The OpenAPI document and its page, as `wrangler dev` serves the static assets: with safe headers, without the Worker, and
// without taking any other path away from the Worker.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { root } from '../docs/repository.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

let broker: RunningBroker

beforeAll(async () => {
  broker = await startBroker()
})

afterAll(async () => {
  await broker?.stop()
})

const committed = (file: string) => readFileSync(path.join(root, 'public', file), 'utf8')
const get = (route: string, init: RequestInit = {}) => fetch(broker.url + route, { redirect: 'manual', ...init })

const SAFE = {
  'strict-transport-security': 'max-age=31536000',
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'content-security-policy':
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cache-control': 'public, max-age=3600',
}

it.each([
  ['/openapi.json', 'openapi.json', 'application/json'],
  ['/docs', 'docs.html', 'text/html; charset=utf-8'],
  ['/docs.css', 'docs.css', 'text/css; charset=utf-8'],
])('The running broker serves %s as committed, with safe headers and without the Worker', async (route, file, type) => {
  const answer = await get(route)
  expect(answer.status).toBe(200)
  expect(await answer.text()).toBe(committed(file))
  const { headers } = answer
  expect(Object.fromEntries(Object.keys(SAFE).map((name) => [name, headers.get(name)]))).toEqual(SAFE)
  expect(headers.get('content-type')).toBe(type)
  expect(headers.get('x-request-id')).toBeNull()

  const again = await get(route, { headers: { 'if-none-match': headers.get('etag') ?? 'none' } })
  expect(again.status).toBe(304)
})

it('A page of another origin can read the OpenAPI document, and not the page that shows it', async () => {
  const origin = { headers: { origin: 'https://tool.example' } }
  expect((await get('/openapi.json', origin)).headers.get('access-control-allow-origin')).toBe('*')
  expect((await get('/docs', origin)).headers.get('access-control-allow-origin')).toBeNull()
})

it.each(['/nothing', '/openapi', '/openapi.json/x', '/docs/x', '/_headers', '/index.html', '/v1/docs', '/%64ocs.txt'])(
  'The unknown path %s still reaches the Worker, which answers its 404',
  async (route) => {
    const answer = await get(route)
    expect(answer.status).toBe(404)
    expect(answer.headers.get('content-type')).toBe('application/problem+json')
    expect(answer.headers.get('x-request-id')).not.toBeNull()
  },
)

it('A browser that opens an unknown path gets the Worker’s 404', async () => {
  const navigation = { headers: { 'sec-fetch-mode': 'navigate', accept: 'text/html' } }
  expect((await get('/nothing', navigation)).headers.get('content-type')).toBe('application/problem+json')
})
