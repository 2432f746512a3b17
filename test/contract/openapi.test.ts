/** The OpenAPI document against real answers: broker.ts validates each, and here each kind of difference is seen to count. */
import { env } from 'cloudflare:workers'
import { expect, it } from 'vitest'
import { ROUTES, type Route, type RouteName } from '../../src/contract/routes.ts'
import type { Answer } from '../support/broker/answer.ts'
import { newBroker } from '../support/broker/broker.ts'
import { documentBreaches, operationOf } from '../support/broker/openapi.ts'
import { asker, rowOf } from '../support/contract/accessRows.ts'
import { furnishAll, pathOf, routes } from '../support/contract/callers.ts'

/** An answer with one thing wrong. */
type Mutant = readonly [what: string, answer: Answer]

const NOTHING_LIKE_IT = { wrong: true }
/** Routes whose answer is no JSON. */
const WITHOUT_JSON: readonly RouteName[] = ['iceServersPreflight', 'credentialRevoke', 'subjectErase', 'apiTokenDelete']

it('The OpenAPI document has an operation for every route, with the route’s name as its id', () => {
  const wrong = routes.filter(([name, { method, path }]) => operationOf(method, path)?.operationId !== name)
  expect(wrong).toEqual([])
})

it('An answer that breaks the OpenAPI document in one field, type, status, header or body is found, on every route', async () => {
  const broker = newBroker()
  const missed: string[] = []
  const mutated: string[] = []
  for (const entry of routes) {
    const [name, route] = entry
    const { answer, pathname } = await rightAnswer(broker, entry)
    const breachesOf = (one: Answer) => documentBreaches({ method: route.method, url: '' }, pathname, one)
    expect(breachesOf(answer), name).toEqual([])
    const mutants = [...mutantsOf(answer), ...mutantsOfBody(answer)]
    mutated.push(...mutants.map(([what]) => what.split(' ')[0] ?? ''))
    missed.push(...mutants.filter(([, mutant]) => breachesOf(mutant).length === 0).map(([what]) => `${name}: ${what}`))
    expect(answer.json === undefined, name).toBe(WITHOUT_JSON.includes(name))
  }
  expect(missed).toEqual([])
  expect(mutated.filter((kind) => kind === 'without').length).toBeGreaterThan(routes.length)
})

it('A body that the broker accepts and the OpenAPI document does not is found', () => {
  const { method, path } = ROUTES.turnKeyCreate
  const accepted = operationOf(method, path)?.requestBody?.content['application/json']
  expect(accepted).toBeDefined()
  const answer: Answer = { status: 201, headers: new Headers(), text: '', json: undefined }
  const asked = { method, url: '', contentType: 'application/json' }
  const about = (body: string) =>
    documentBreaches({ ...asked, body }, path, answer).filter((breach) => breach.includes('accepted request'))
  expect(about('{"name":"first"}')).toEqual([])
  expect(about('{"name":1}')).not.toEqual([])
})

/** What the right caller is answered, from a tenant of its own: some routes end what the next one needs. */
async function rightAnswer(broker: ReturnType<typeof newBroker>, entry: [RouteName, Route]) {
  const [name, route] = entry
  const id = `for-${routes.findIndex(([each]) => each === name)}`
  const things = await furnishAll(broker, id)
  const { ask, wrong } = asker(broker)
  const bearer = route.access === 'client-token' ? things.clientToken : env.ADMIN_TOKEN
  const expected = String(rowOf(name).right)
  const answer = await ask(entry, { who: 'the right caller', authorization: `Bearer ${bearer}`, things, expected })
  expect(wrong).toEqual([])
  return { answer, pathname: pathOf(route, things) }
}

function mutantsOf(answer: Answer): Mutant[] {
  const withHeader = (change: (headers: Headers) => void): Answer => {
    const headers = new Headers(answer.headers)
    change(headers)
    return { ...answer, headers }
  }
  return [
    ['another status, 299', { ...answer, status: 299 }],
    ['another status, 418', { ...answer, status: 418 }],
    ['no request id', withHeader((headers) => headers.delete('x-request-id'))],
    ['a request id that is none', withHeader((headers) => headers.set('x-request-id', 'x'))],
    ['a header more', withHeader((headers) => headers.set('x-powered-by', 'x'))],
    ...(answer.text === ''
      ? ([['a body', { ...answer, text: 'x' }]] as const)
      : ([['another content type', withHeader((headers) => headers.set('content-type', 'text/html'))]] as const)),
  ]
}

const mutantsOfBody = ({ json, ...answer }: Answer): Mutant[] =>
  json === undefined ? [] : mutationsOf(json).map(([what, wrong]) => [what, { ...answer, json: wrong }])

/** Every copy of a value with one thing wrong, at any depth: of a list its first item. */
function mutationsOf(value: unknown): [what: string, wrong: unknown][] {
  if (Array.isArray(value)) {
    const [first, ...rest] = value
    const inItem = value.length > 0 ? mutationsOf(first) : []
    return inItem.map(([what, wrong]) => [what, [wrong, ...rest]])
  }
  if (typeof value !== 'object' || value === null) return []
  const more: [string, unknown] = ['a field more', { ...value, ...NOTHING_LIKE_IT }]
  const ofFields = Object.entries(value).flatMap(([field, inner]): [string, unknown][] => [
    [`without ${field}`, Object.fromEntries(Object.entries(value).filter(([name]) => name !== field))],
    [`another type of ${field}`, { ...value, [field]: NOTHING_LIKE_IT }],
    ...mutationsOf(inner).map(([what, wrong]): [string, unknown] => [
      `${what} in ${field}`,
      { ...value, [field]: wrong },
    ]),
  ])
  return [more, ...ofFields]
}
