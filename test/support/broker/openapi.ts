/**
 * Compares an answer with the OpenAPI document: its status, headers, content type and body must be documented for the
 * route. A request that the broker accepted must fit the document too. Knows nothing of the contract's code.
 */
import { dereference, type Schema, validate } from '@cfworker/json-schema'
import document from '../../../public/openapi.json'
import type { Answer } from './answer.ts'

export interface Asked {
  readonly method: string
  readonly url: string
  readonly body?: unknown
  readonly contentType?: string | null
}

interface Header {
  readonly required?: boolean
  readonly schema: Schema
}
interface Content {
  readonly schema: Schema
}
interface Response {
  readonly headers: Record<string, { readonly $ref: string }>
  readonly content?: Record<string, Content>
}
export interface Operation {
  readonly operationId: string
  readonly requestBody?: { readonly required: boolean; readonly content: Record<string, Content> }
  readonly responses: Record<string, Response | { readonly $ref: string }>
}

const BASE = new URL('https://openapi.test/openapi.json')
/** Set by the runtime or by fetch, and no part of the API. */
const OF_THE_TRANSPORT = ['content-type', 'content-length']

const { paths, components } = document as unknown as {
  paths: Record<string, Record<string, unknown>>
  components: Record<'schemas' | 'responses' | 'headers' | 'parameters', Record<string, unknown>>
} // the compiler's own type of it is the file, literal by literal
const { schemas, responses, headers } = components
// Without the examples: their `id` would be taken for the id of a schema.
const lookup = dereference({ paths, components: { schemas, responses, headers } } as Schema, undefined, BASE)

/** The content types that an operation takes, as the document says. */
export const bodyTypesOf = (path: string, method: string): string[] => {
  const item = paths[path.replaceAll(/:([a-z_]+)/g, '{$1}')]?.[method.toLowerCase()] as Operation | undefined // by its method
  return Object.keys(item?.requestBody?.content ?? {})
}

const TEMPLATES = Object.entries(paths).map(([template, methods]) => ({
  pattern: new RegExp(`^${template.replaceAll('.', '\\.').replaceAll(/\{[a-z_]+\}/g, '[^/]+')}$`),
  methods: methods as Record<string, Operation>, // and `parameters`, which is no method
}))

/** The operation of a request; `undefined` for an unknown path or method. */
export function operationOf(method: string, pathname: string): Operation | undefined {
  const name = method === 'HEAD' ? 'get' : method.toLowerCase()
  return TEMPLATES.find(({ pattern, methods }) => pattern.test(pathname) && name in methods)?.methods[name]
}

/** What differs from the document; empty for a path or method that the API does not have. */
export function documentBreaches(asked: Asked, pathname: string, answer: Answer): string[] {
  const operation = operationOf(asked.method, pathname)
  // HEAD is answered as GET, or with a 405 where GET would issue a credential.
  if (!operation || (asked.method === 'HEAD' && answer.status === 405)) return []
  const response = responseOf(operation, answer.status)
  if (!response) return [`${operation.operationId} documents no ${answer.status}`]
  const found = [
    ...headerBreaches(response, answer),
    ...(asked.method === 'HEAD' ? [] : bodyBreaches(response, answer)),
    ...(answer.status < 300 ? requestBreaches(operation, asked) : []),
  ]
  return found.map((breach) => `${operation.operationId} ${answer.status}: ${breach}`)
}

function responseOf(operation: Operation, status: number): Response | undefined {
  const found = operation.responses[String(status)]
  if (!found || !('$ref' in found)) return found
  return lookup[new URL(found.$ref, BASE).href] as unknown as Response // a component of the document
}

function headerBreaches(response: Response, answer: Answer): string[] {
  const documented = Object.entries(response.headers).map(([name, { $ref }]) => {
    const header = lookup[new URL($ref, BASE).href] as unknown as Header // a component of the document
    const value = answer.headers.get(name)
    if (value === null) return header.required ? `no ${name}` : undefined
    const typed = header.schema.type === 'integer' ? Number(value) : value
    return isValid(typed, header.schema) ? undefined : `${name} is not as documented: ${value}`
  })
  const names = Object.keys(response.headers).map((name) => name.toLowerCase())
  const unknown = [...answer.headers.keys()].filter((name) => !names.includes(name) && !OF_THE_TRANSPORT.includes(name))
  return [...documented.filter((breach) => breach !== undefined), ...unknown.map((name) => `undocumented ${name}`)]
}

function bodyBreaches({ content }: Response, { headers: sent, text, json }: Answer): string[] {
  if (!content) return text === '' ? [] : ['a body where none is documented']
  const type = sent.get('content-type') ?? ''
  const found = contentOf(content, type)
  if (!found) return [`undocumented content type ${type}`]
  return violations(json ?? text, found.schema)
}

function requestBreaches({ requestBody }: Operation, { body, contentType }: Asked): string[] {
  if (typeof body !== 'string' || !requestBody) return []
  const found = contentOf(requestBody.content, contentType ?? '')
  if (!found) return []
  const isForm = contentType?.includes('form') === true
  if (body === '' && !isForm) return requestBody.required ? ['accepted request: no body'] : []
  return violations(isForm ? formOf(body) : JSON.parse(body), found.schema).map(
    (breach) => `accepted request: ${breach}`,
  )
}

/** A form's fields; digits are a number. */
const formOf = (body: string): object =>
  Object.fromEntries(
    [...new URLSearchParams(body)].map(([name, value]) => [name, name === 'ttl' ? Number(value) : value]),
  )

const contentOf = (content: Record<string, Content>, type: string): Content | undefined =>
  Object.entries(content).find(([name]) => type === name || type.startsWith(`${name};`))?.[1]

const isValid = (value: unknown, schema: Schema): boolean => validate(value, schema, '2020-12', lookup, true).valid

function violations(value: unknown, schema: Schema): string[] {
  if (isValid(value, schema)) return []
  const { errors } = validate(value, schema, '2020-12', lookup, false)
  // The deepest places say what is wrong; those around them only that something is.
  const depth = ({ instanceLocation }: { instanceLocation: string }) => instanceLocation.split('/').length
  const deepest = errors.sort((a, b) => depth(b) - depth(a)).slice(0, 3)
  return deepest.map(({ instanceLocation, error }) => `${instanceLocation}: ${error}`)
}
