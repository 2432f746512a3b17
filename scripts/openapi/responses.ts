// The answers of an operation: what the tables say of its successes, and one response for each status of its errors. Equal
// error responses are one component.

import type { Route } from '../../src/contract/routes.ts'
import { CLOUDFLARE_TURN_KEY, ERRORS, type ErrorCode } from '../../src/errors.ts'
import { EXAMPLES, IDS } from './examples.ts'
import { ANSWER_HEADERS, type AnswerHeaderName, CORS, EVERYWHERE } from './headers.ts'
import type { Answer, Operation } from './operation.ts'
import { namesInPath } from './parameters.ts'

export type Json = Readonly<Record<string, unknown>>

const PROBLEM_TYPE = 'https://github.com/turn-broker/turn-broker/blob/main/docs/errors.md#'
const EXAMPLE_WAIT_SECONDS = 2

/** Refers to a component. A name of ours needs no escaping in a JSON pointer. */
export const ref = (kind: string, name: string): Json => ({ $ref: `#/components/${kind}/${name}` })

export interface ErrorAnswers {
  /** Status → reference to a component. */
  readonly responses: Readonly<Record<string, Json>>
  /** The components that are referred to. */
  readonly components: Readonly<Record<string, Json>>
}

/** The answers without the errors, by status. */
export const successResponses = (operation: Operation): Record<string, Json> =>
  Object.fromEntries(Object.entries(operation.answers).map(([status, answer]) => [status, success(answer)]))

function success(answer: Answer): Json {
  const { description, headers = [], json, text = {} } = answer
  const content = json && {
    'application/json': { schema: ref('schemas', json[0]), examples: examplesOf(json.slice(1)) },
    ...textOf(text),
  }
  return { description, headers: headersOf([...EVERYWHERE, ...headers]), ...(content ? { content } : {}) }
}

/** The first is named `example`, as where there is only one. */
const examplesOf = (names: readonly string[]): Json =>
  Object.fromEntries(names.map((name, at) => [at === 0 ? 'example' : name, ref('examples', name)]))

const textOf = (types: NonNullable<Answer['text']>): Json =>
  Object.fromEntries(
    Object.entries(types).map(([type, names]) => [
      type,
      {
        schema: { type: 'string', minLength: 1, maxLength: 65_536, pattern: '^[\\t\\n -~]+$' },
        examples: examplesOf(names),
      },
    ]),
  )

export function errorResponses(route: Route, codes: readonly ErrorCode[]): ErrorAnswers {
  const responses: Record<string, Json> = {}
  const components: Record<string, Json> = {}
  for (const [status, unsorted] of Map.groupBy(codes, (code) => ERRORS[code].status)) {
    const same = inOrder(unsorted)
    const { kind, headers } = peculiarity(route, status)
    const name = [route.dialect, status, ...(kind ? [kind] : []), ...same].join('.')
    responses[status] = ref('responses', name)
    components[name] = {
      description: describe(route, same, kind),
      headers: headersOf([...errorHeaders(status), ...headers]),
      content: route.dialect === 'cloudflare' ? failure(same, kind) : problem(status, same),
    }
  }
  return { responses, components }
}

/** One paragraph an error. In Cloudflare's envelope the number is the code, and the name only says which row of the table it is. */
function describe({ dialect }: Route, codes: readonly ErrorCode[], kind: string | undefined): string {
  const noKey = kind === 'key' ? [`\`${CLOUDFLARE_TURN_KEY}\`: No such TURN key.`] : []
  const named = (code: ErrorCode) =>
    dialect === 'cloudflare' ? `\`${ERRORS[code].cloudflareCode}\` (\`${code}\`)` : `\`${code}\``
  return [...noKey, ...codes.map((code) => `${named(code)}: ${ERRORS[code].sentence}`)].join('\n\n')
}

/** What tells the errors of a route from those of others, with the headers that come of it. */
function peculiarity(
  { path, method, dialect, repeatable }: Route,
  status: number,
): { kind?: 'page' | 'once' | 'key'; headers: readonly AnswerHeaderName[] } {
  if (path.endsWith('/ice-servers')) return { kind: 'page', headers: CORS }
  // A creation may be refused for good after it began.
  if ([401, 403].includes(status) && method === 'POST' && !repeatable)
    return { kind: 'once', headers: ['x-should-retry'] }
  if (status === 404 && dialect === 'cloudflare' && namesInPath(path).includes('key_id'))
    return { kind: 'key', headers: [] }
  return { headers: [] }
}

/** As the table of errors has them. */
const inOrder = (codes: readonly ErrorCode[]): ErrorCode[] =>
  (Object.keys(ERRORS) as ErrorCode[]).filter((code) => codes.includes(code)) // Object.keys forgets the names

function problem(status: number, codes: readonly ErrorCode[]): Json {
  const narrowed = { type: 'object', properties: { status: { const: status }, code: { enum: codes } } }
  const examples = Object.fromEntries(codes.map((code) => [code, ref('examples', `problem.${code}`)]))
  return { 'application/problem+json': { schema: { allOf: [ref('schemas', 'Problem'), narrowed] }, examples } }
}

/** A TURN key that the tenant does not have has a number of its own. */
function failure(codes: readonly ErrorCode[], kind: string | undefined): Json {
  const isKey = kind === 'key'
  const numbers: number[] = codes.map((code) => ERRORS[code].cloudflareCode)
  const known = [...new Set([...(isKey ? [CLOUDFLARE_TURN_KEY] : []), ...numbers])]
  const item = { type: 'object', properties: { code: { enum: known } } }
  const narrowed = { type: 'object', properties: { errors: { type: 'array', items: item, maxItems: 1 } } }
  const names = [...(isKey ? ['no_such_turn_key'] : []), ...codes]
  const examples = Object.fromEntries(names.map((name) => [name, ref('examples', `cloudflare.${name}`)]))
  return { 'application/json': { schema: { allOf: [ref('schemas', 'CloudflareFailure'), narrowed] }, examples } }
}

function errorHeaders(status: number): AnswerHeaderName[] {
  const mayWait = [409, 429, 502, 503, 504].includes(status)
  const mayForbid = [409, 500, 502, 503, 504].includes(status)
  return [
    ...EVERYWHERE,
    ...(status === 401 ? (['WWW-Authenticate'] as const) : []),
    ...(mayWait ? (['Retry-After'] as const) : []),
    ...(mayForbid ? (['x-should-retry'] as const) : []),
  ]
}

const headersOf = (names: readonly AnswerHeaderName[]): Json =>
  Object.fromEntries(names.map((name) => [name, ref('headers', name)]))

/** One example a code and dialect, and one for each body of the tables. */
export function exampleComponents(): Record<string, Json> {
  const problems = (Object.keys(ERRORS) as ErrorCode[]).flatMap((code) => [
    // Object.keys forgets the names
    [`problem.${code}`, { summary: ERRORS[code].title, value: problemExample(code) }],
    [
      `cloudflare.${code}`,
      { summary: ERRORS[code].title, value: failureExample(ERRORS[code].cloudflareCode, ERRORS[code].sentence) },
    ],
  ])
  const bodies = Object.entries(EXAMPLES).map(([name, value]) => [name, { summary: 'An example.', value }])
  const noKey = { summary: 'No such TURN key', value: failureExample(CLOUDFLARE_TURN_KEY, 'No such TURN key.') }
  return Object.fromEntries([...bodies, ...problems, ['cloudflare.no_such_turn_key', noKey]])
}

function problemExample(code: ErrorCode): Json {
  const { title, status, sentence } = ERRORS[code]
  const problem = { type: PROBLEM_TYPE + code, title, status, detail: sentence, code, requestId: IDS.request }
  return status === 503 || status === 429 ? { ...problem, retryAfter: EXAMPLE_WAIT_SECONDS } : problem
}

const failureExample = (code: number, message: string): Json => ({
  success: false,
  errors: [{ code, message }],
  messages: [],
  result: null,
})

export const headerComponents = (schemaOf: (header: (typeof ANSWER_HEADERS)[AnswerHeaderName]) => unknown) =>
  Object.fromEntries(
    Object.entries(ANSWER_HEADERS).map(([name, header]) => [
      name,
      {
        description: header.description,
        ...('required' in header ? { required: true } : {}),
        schema: schemaOf(header),
        example: header.example,
      },
    ]),
  )
