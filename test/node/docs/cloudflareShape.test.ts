// The Cloudflare-shaped part of the OpenAPI document against what Cloudflare's own OpenAPI document says of TURN keys, as of
// 2026-08-18. The facts are written down here in tables; the document itself is not kept.
import { expect, it } from 'vitest'
import { textOf } from './repository.ts'

// biome-ignore lint/suspicious/noExplicitAny: the shape of the document is what is asserted
const document: any = JSON.parse(textOf('public/openapi.json'))
const PREFIX = '/client/v4'
const LIST = '/accounts/{account_id}/calls/turn_keys'
const ONE = `${LIST}/{key_id}`

/** Each operation: the status of its success, whether it must have a body, and what its `result` is. */
const OPERATIONS = [
  { method: 'get', path: LIST, success: '200', body: false, result: 'list of keys' },
  { method: 'post', path: LIST, success: '201', body: true, result: 'key with its secret' },
  { method: 'get', path: ONE, success: '200', body: false, result: 'key' },
  { method: 'put', path: ONE, success: '200', body: true, result: 'key' },
  { method: 'delete', path: ONE, success: '200', body: false, result: 'key' },
] as const

/** What Cloudflare's clients read of a key, with type and format. */
const KEY = { created: 'string date-time', modified: 'string date-time', name: 'string', uid: 'string' } as const
/** Lengths that Cloudflare documents. */
const UID_CHARACTERS = 32
const SECRET_CHARACTERS = 64
const MAX_ACCOUNT_ID_CHARACTERS = 32
/** Of a success `result` is not among the required fields; of a failure it is, and is null. */
const REQUIRED_OF_SUCCESS = ['success', 'errors', 'messages']
const REQUIRED_OF_FAILURE = [...REQUIRED_OF_SUCCESS, 'result']
const LEAST_ERROR_CODE = 1_000

const resolved = (given: { $ref?: string }) =>
  given.$ref === undefined
    ? given
    : given.$ref
        .slice(2)
        .split('/')
        .reduce((found, key) => found[key], document)
const operationOf = ({ method, path }: { method: string; path: string }) => document.paths[PREFIX + path][method]
const envelopeOf = (operation: (typeof OPERATIONS)[number]) =>
  resolved(operationOf(operation).responses[operation.success].content['application/json'].schema)
const resultOf = (operation: (typeof OPERATIONS)[number]) => resolved(envelopeOf(operation).properties.result)
const name = ({ method, path }: { method: string; path: string }) => `${method.toUpperCase()} ${path}`

it('The broker has Cloudflare’s five operations on TURN keys under the same paths and methods, and no other', () => {
  const ours = Object.entries(document.paths as object)
    .filter(([path]) => path.startsWith(`${PREFIX}/`))
    .flatMap(([path, item]) =>
      Object.keys(item as object)
        .filter((method) => method !== 'parameters')
        .map((method) => name({ method, path: path.slice(PREFIX.length) })),
    )
  expect(ours.sort()).toEqual(OPERATIONS.map(name).sort())
})

it.each(OPERATIONS.map((operation) => ({ named: name(operation), operation })))(
  '$named takes and answers what Cloudflare documents',
  ({ operation }) => {
    const ours = operationOf(operation)
    const successes = Object.keys(ours.responses).filter((status) => status.startsWith('2'))
    expect(successes).toEqual([operation.success])
    // Ours may be left out: what Cloudflare takes without one is not documented.
    expect(ours.requestBody !== undefined).toBe(operation.body)
    if (operation.body) {
      const taken = resolved(ours.requestBody.content['application/json'].schema)
      // Cloudflare takes a name, does not require it, and ignores any other field.
      expect(taken.properties).toMatchObject({ name: { type: 'string' } })
      expect(taken.required ?? []).toEqual([])
      expect(taken.additionalProperties ?? true).not.toBe(false)
    }

    const { required, properties } = envelopeOf(operation)
    expect(required).toEqual(expect.arrayContaining(REQUIRED_OF_SUCCESS))
    expect(properties).toMatchObject({
      success: { const: true },
      errors: { type: 'array' },
      messages: { type: 'array' },
    })

    const result = resultOf(operation)
    expect(result.type === 'array').toBe(operation.result === 'list of keys')
    const key = result.type === 'array' ? resolved(result.items) : result
    const types = Object.entries(KEY).map(([field]) => {
      const { type, format } = key.properties[field]
      return [field, format === undefined ? type : `${type} ${format}`]
    })
    expect(Object.fromEntries(types)).toEqual(KEY)
    // Cloudflare requires none of them; the broker always has them.
    expect(key.required).toEqual(expect.arrayContaining(Object.keys(KEY)))
    expect(key.properties.uid).toMatchObject({ minLength: UID_CHARACTERS, maxLength: UID_CHARACTERS })
    expect('key' in key.properties).toBe(operation.result === 'key with its secret')
    // The broker's own field, and none else that Cloudflare's clients do not know.
    const own = Object.keys(key.properties).filter((field) => !(field in KEY) && field !== 'key')
    expect(own).toEqual(operation.method === 'delete' ? [] : ['state'])
  },
)

it('The secret of a created TURN key is a string of 64 characters, as at Cloudflare', () => {
  const [, create] = OPERATIONS
  expect(resultOf(create).properties.key).toMatchObject({
    type: 'string',
    minLength: SECRET_CHARACTERS,
    maxLength: SECRET_CHARACTERS,
  })
})

it('The ids in the path fit into what Cloudflare takes for an account and a TURN key', () => {
  const { parameters } = document.components
  expect(parameters['path.account_id'].schema.maxLength).toBeLessThanOrEqual(MAX_ACCOUNT_ID_CHARACTERS)
  expect(parameters['path.key_id'].schema).toMatchObject({ minLength: UID_CHARACTERS, maxLength: UID_CHARACTERS })
})

it('An error on Cloudflare’s paths has all fields of Cloudflare’s envelope of a failure', () => {
  const { required, properties } = document.components.schemas.CloudflareFailure
  expect(required).toEqual(expect.arrayContaining(REQUIRED_OF_FAILURE))
  expect(properties).toMatchObject({ success: { const: false }, result: { type: 'null' }, errors: { minItems: 1 } })
  expect(properties.errors.items.required).toEqual(expect.arrayContaining(['code', 'message']))
  expect(properties.errors.items.properties.code).toMatchObject({ type: 'integer', minimum: LEAST_ERROR_CODE })
  const errors = OPERATIONS.flatMap((operation) => Object.entries(operationOf(operation).responses as object))
    .filter(([status]) => Number(status) >= 400)
    .map(([, response]) => resolved(response).content['application/json']?.schema.allOf[0].$ref)
  expect(new Set(errors)).toEqual(new Set(['#/components/schemas/CloudflareFailure']))
})
