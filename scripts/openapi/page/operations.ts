// One operation as the page shows it: who may call, parameters, body, answers, errors.
import { escapeHtml, example, inline, paragraphs, table } from './html.ts'
import { fieldTable, schemaLink, typeOf } from './schemas.ts'
import {
  type Content,
  type Document,
  lastPart,
  type Operation,
  type Parameter,
  type Response,
  resolve,
} from './shape.ts'

export interface Place {
  readonly method: string
  readonly path: string
  readonly operation: Operation
  /** Of the path, for all of its methods. */
  readonly pathParameters: readonly { readonly $ref: string }[]
}

export const operationAnchor = (operation: Operation): string => operation.operationId

/** A slash may be followed by a line break. */
export const pathHtml = (path: string): string => escapeHtml(path).replaceAll('/', '/<wbr>')

export function operationSection(document: Document, place: Place): string {
  const { method, path, operation } = place
  const references = [...place.pathParameters, ...(operation.parameters ?? [])]
  const all = references.map((reference) => resolve(document, 'parameters', reference))
  const parameters = all.filter((parameter) => parameter.in !== 'header')
  const headers = all.filter((parameter) => parameter.in === 'header')
  return `<section class="operation" id="${operationAnchor(operation)}">
<h3>${escapeHtml(operation.summary)}</h3>
<p class="route"><span class="method ${method}">${method.toUpperCase()}</span> <code>${pathHtml(path)}</code></p>
${paragraphs(operation.description)}
<p><b>Token:</b> ${tokenOf(operation)}</p>
${parameters.length > 0 ? `<h4>Parameters</h4>${parameterTable(parameters)}` : ''}
${headersOf(headers)}
${bodyOf(document, operation)}
<h4>Answers</h4>
${answersOf(document, operation)}
</section>`
}

const TOKENS: Readonly<Record<string, string>> = {
  apiToken: 'API token',
  adminToken: 'admin token',
  accessAssertion: 'Cloudflare Access',
  clientToken: 'client token',
  tenantJwt: "JWT of the tenant's identity provider",
}

function tokenOf({ security }: Operation): string {
  if (security.length === 0) return 'none'
  const named = security.flatMap((requirement) =>
    Object.entries(requirement).map(([scheme, [right]]) => {
      const name = `<a href="#tokens">${escapeHtml(TOKENS[scheme] ?? scheme)}</a>`
      const kind = scheme === 'accessAssertion' ? 'role' : 'scope'
      return right ? `${name} with the ${kind} <code>${escapeHtml(right)}</code>` : name
    }),
  )
  return `${named.join(', or ')}${security.length > named.length ? ', in the header or in the form' : ''}`
}

function parameterTable(parameters: readonly Parameter[]): string {
  const rows = parameters.map(({ name, in: place, required, schema, description }) => [
    `<code>${escapeHtml(name)}</code> <small>${place}${required ? '' : ', optional'}</small>`,
    typeOf(schema),
    inline(description),
  ])
  return table(['parameter', 'type', 'meaning'], rows)
}

/** The headers that the request may have: they are listed once, and linked here. */
function headersOf(headers: readonly Parameter[]): string {
  if (headers.length === 0) return ''
  const links = headers.map(
    ({ name, required }) => `${requestHeaderLink(name)}${required ? '' : ' <small>optional</small>'}`,
  )
  return `<p><b>Headers of the request:</b> ${links.join(', ')}</p>`
}

const requestHeaderLink = (name: string): string =>
  `<a href="#${requestHeaderAnchor(name)}"><code>${escapeHtml(name)}</code></a>`

export const requestHeaderAnchor = (name: string): string => `request-header-${name.toLowerCase()}`

function bodyOf(document: Document, { requestBody }: Operation): string {
  if (!requestBody) return ''
  const shown = new Set<string>()
  const parts = Object.entries(requestBody.content).map(([type, content]) => {
    const name = lastPart(content.schema.$ref ?? '')
    const heading = `<p><code>${escapeHtml(type)}</code> ${schemaLink(name)}</p>`
    if (shown.has(name)) return heading
    shown.add(name)
    return `${heading}${fieldTable(resolve(document, 'schemas', content.schema))}${examplesOf(document, content)}`
  })
  return `<h4>Body</h4><p>${inline(requestBody.description)}${requestBody.required ? '' : ' The body is optional.'}</p>
${parts.join('\n')}`
}

const examplesOf = (document: Document, { examples = {} }: Content): string =>
  Object.values(examples)
    .map((reference) => example('Example', resolve(document, 'examples', reference).value))
    .join('')

function answersOf(document: Document, { responses }: Operation): string {
  const all = Object.entries(responses).map(([status, response]) => ({ status, given: response }))
  const successes = all.filter(({ given }) => !('$ref' in given))
  const errors = all.filter(({ given }) => '$ref' in given)
  const parts = successes.map(({ status, given }) => successOf(document, status, resolve(document, 'responses', given)))
  const rows = errors.map(({ status, given }) => errorRow(status, resolve(document, 'responses', given)))
  return `${parts.join('\n')}
<details class="errors"><summary>Errors: ${errors.map(({ status }) => status).join(', ')}</summary>
${table(['status', 'what is wrong', 'body'], rows)}</details>`
}

function successOf(document: Document, status: string, response: Response): string {
  const contents = Object.entries(response.content ?? {})
  const bodies = contents.map(([type, content]) => {
    const name = content.schema.$ref === undefined ? '' : ` ${schemaLink(lastPart(content.schema.$ref))}`
    return `<code>${escapeHtml(type)}</code>${name}`
  })
  const own = Object.keys(response.headers ?? {}).filter((name) => !EVERYWHERE.includes(name))
  const headers =
    own.length === 0
      ? ''
      : ` Headers: ${own.map((name) => `<a href="#header-${name.toLowerCase()}"><code>${escapeHtml(name)}</code></a>`).join(', ')}.`
  return `<p class="answer"><b>${status}</b> ${inline(response.description)} ${bodies.join(', ') || 'No body.'}${headers}</p>
${contents.map(([, content]) => examplesOf(document, content)).join('')}`
}

/** Headers of every answer, which are listed once. */
export const EVERYWHERE = ['X-Request-Id', 'Cache-Control', 'Strict-Transport-Security', 'X-Content-Type-Options']

function errorRow(status: string, { description, content = {} }: Response): string[] {
  const [body] = Object.values(content)
  const name = lastPart(body?.schema.allOf?.[0]?.$ref ?? '')
  return [`<b>${status}</b>`, paragraphs(description), schemaLink(name)]
}
