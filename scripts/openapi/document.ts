// Assembles the OpenAPI 3.1 document of the whole API out of the contract's tables and the tables of this folder.
import packageJson from '../../package.json' with { type: 'json' }
import { ROUTES, type Route, type RouteName } from '../../src/contract/routes.ts'
import { errorsOf } from './errorCodes.ts'
import { type Body, type Operation, TAGS } from './operation.ts'
import { ADMIN } from './operations/admin.ts'
import { BROWSER } from './operations/browser.ts'
import { CLOUDFLARE } from './operations/cloudflare.ts'
import { PUBLIC } from './operations/public.ts'
import { SERVER } from './operations/server.ts'
import { namesInPath, PATH, type Parameter, QUERY, queryNames, REQUEST_HEADERS } from './parameters.ts'
import { errorResponses, exampleComponents, headerComponents, type Json, ref, successResponses } from './responses.ts'
import { componentSchemas, inlineSchema } from './schemas.ts'

const REPOSITORY = 'https://github.com/turn-broker/turn-broker'

const OPERATIONS: Readonly<Record<RouteName, Operation>> = { ...PUBLIC, ...BROWSER, ...CLOUDFLARE, ...SERVER, ...ADMIN }

const DESCRIPTION =
  `turn-broker hands out Cloudflare TURN credentials to the users of many tenants. Tenants' back ends hold API tokens,
pages hold client tokens or JWTs of the tenant's identity provider, operators hold the admin token or pass Cloudflare Access.

Bodies are JSON in UTF-8 of at most 16 KiB, if a route does not say otherwise. A client must ignore fields of an answer that it does not know: later versions may add
some. Every answer carries \`X-Request-Id\`, which finds it in the logs. Errors of native routes are \`application/problem+json\`
(RFC 9457); under \`/client/v4/\` and \`/v1/turn/\` they come in Cloudflare's envelope. Each code with its cause and cure:
[docs/errors.md](${REPOSITORY}/blob/main/docs/errors.md).`.replaceAll(/(?<!\n)\n(?!\n)/g, ' ')

const SECURITY_SCHEMES = {
  apiToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'tb_{tenant}_{id}_{secret}',
    description:
      'An API token of a tenant, for its servers. An operator creates it with a list of scopes; each operation names the one it needs.',
  },
  apiTokenAsPassword: {
    type: 'http',
    scheme: 'basic',
    description:
      'An API token as the password, with any user name (RFC 7617): for media servers that can send no bearer.',
  },
  adminToken: {
    type: 'http',
    scheme: 'bearer',
    description:
      'The admin token, for operators. It opens the server routes of every tenant too, and has the role `owner`.',
  },
  accessAssertion: {
    type: 'apiKey',
    in: 'header',
    name: 'Cf-Access-Jwt-Assertion',
    description:
      'The assertion that Cloudflare Access adds to a request, a JWT that is checked as RFC8725 advises. Clients do not send it: they pass Access, and each operation names the role that they need. A change must also come from a page of the broker, or from a client that sends no cookie.',
  },
  clientToken: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'A client token, for pages and apps: a short-lived JWT that a back end creates. It is signed and checked as RFC8725 advises, and lives for one hour at most.',
  },
  tenantJwt: {
    type: 'http',
    scheme: 'bearer',
    bearerFormat: 'JWT',
    description:
      'A JWT of an identity provider that the tenant’s policy names. It is checked as RFC8725 advises, with public-key algorithms only.',
  },
} as const
type Security = Partial<Record<keyof typeof SECURITY_SCHEMES, readonly string[]>>

/** The document as it is committed. */
export function openapi(): Json {
  const components: Record<string, Json> = {}
  const paths: Record<string, Json> = {}
  for (const [name, route] of Object.entries(ROUTES) as [RouteName, Route][]) {
    // Object.entries forgets the names
    const { responses, components: used } = errorResponses(route, errorsOf(name, route, OPERATIONS[name]))
    Object.assign(components, used)
    const path = route.path.replaceAll(/:([a-z_]+)/g, '{$1}')
    const methods = paths[path] ?? pathParameters(route)
    paths[path] = { ...methods, [route.method.toLowerCase()]: operation(name, route, responses) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'turn-broker',
      version: packageJson.version,
      summary: 'Cloudflare TURN credentials for many tenants.',
      description: DESCRIPTION,
      contact: { name: 'turn-broker', url: REPOSITORY },
      license: { name: 'MIT', identifier: 'MIT' },
    },
    servers: [
      {
        url: '/',
        description: 'The broker that serves this document, in production as in local development.',
        'x-internal': false,
      },
    ],
    tags: Object.entries(TAGS).map(([name, description]) => ({ name, description })),
    paths,
    components: {
      securitySchemes: SECURITY_SCHEMES,
      parameters: parameterComponents(),
      headers: headerComponents(({ schema }) => inlineSchema(schema)),
      responses: sorted(components),
      examples: usedIn([paths, components], exampleComponents()),
      schemas: componentSchemas(),
    },
  }
}

function operation(operationId: RouteName, route: Route, errors: Readonly<Record<string, Json>>): Json {
  const { tag, summary, description, headers = [], body } = OPERATIONS[operationId]
  const parameters = [
    ...queryNames(route).map((name) => ref('parameters', `query.${name}`)),
    ...headers.map((name) => ref('parameters', `header.${name}`)),
  ]
  return {
    operationId,
    tags: [tag],
    summary,
    description,
    security: securityOf(route),
    ...(parameters.length > 0 ? { parameters } : {}),
    ...(body ? { requestBody: requestBody(body, route.method) } : {}),
    responses: withErrors(successResponses(OPERATIONS[operationId]), errors),
  }
}

/** A status that is both an answer and an error, as 503 of the readiness probe, is the answer. */
const withErrors = (successes: Record<string, Json>, errors: Readonly<Record<string, Json>>) => ({
  ...errors,
  ...successes,
})

function securityOf({ access, basic, role }: Route): Security[] {
  if (access === 'public') return []
  if (access === 'admin') return [{ adminToken: [] }, { accessAssertion: role ? [role] : [] }]
  // `{}`: the token may be in the form instead of the header.
  if (access === 'client-token') return [{ clientToken: [] }, { tenantJwt: [] }, {}]
  const asPassword = basic ? [{ apiTokenAsPassword: [access.scope] }] : []
  return [{ apiToken: [access.scope] }, ...asPassword, { adminToken: [] }]
}

const requestBody = ({ presence, description, content }: Body, method: Route['method']): Json => ({
  description,
  required: presence === 'required',
  content: Object.fromEntries(
    Object.entries(content).flatMap(([type, [schema, example]]) => {
      const given = { schema: ref('schemas', schema), examples: { example: ref('examples', example) } }
      const isMergePatch = method === 'PATCH' && type === 'application/json'
      return [...(isMergePatch ? [['application/merge-patch+json', given]] : []), [type, given]]
    }),
  ),
})

function pathParameters(route: Route): Json {
  const names = namesInPath(route.path)
  return names.length === 0 ? {} : { parameters: names.map((name) => ref('parameters', `path.${name}`)) }
}

function parameterComponents(): Json {
  const kinds: [string, Readonly<Record<string, Parameter>>][] = [
    ['path', PATH],
    ['query', QUERY],
    ['header', REQUEST_HEADERS],
  ]
  return Object.fromEntries(
    kinds.flatMap(([kind, table]) =>
      Object.entries(table).map(([key, { name = key, description, schema, example, required }]) => [
        `${kind}.${key}`,
        {
          name,
          in: kind,
          description,
          ...(kind === 'path' || required ? { required: true } : {}),
          schema: inlineSchema(schema),
          example,
        },
      ]),
    ),
  )
}

/** Without the examples that nothing refers to, such as those of errors that one dialect never has. */
function usedIn(document: unknown, examples: Record<string, Json>): Record<string, Json> {
  const text = JSON.stringify(document)
  return Object.fromEntries(
    Object.entries(examples).filter(([name]) => text.includes(JSON.stringify(ref('examples', name).$ref))),
  )
}

const sorted = (record: Record<string, Json>): Record<string, Json> =>
  Object.fromEntries(Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1)))
