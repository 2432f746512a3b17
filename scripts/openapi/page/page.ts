// The page /docs: the OpenAPI document in HTML. It needs no script and asks no other host; its style is public/docs.css.
import { anchor, escapeHtml, inline, paragraphs, table } from './html.ts'
import { operationAnchor, operationSection, type Place, pathHtml, requestHeaderAnchor } from './operations.ts'
import { schemaAnchor, schemaSection, typeOf } from './schemas.ts'
import type { Document, Operation } from './shape.ts'

const METHODS = ['get', 'post', 'put', 'patch', 'delete', 'options']

export function page(document: Document): string {
  const { info, components } = document
  const groups = document.tags.map((tag) => ({ ...tag, places: placesOf(document, tag.name) }))
  const title = `${info.title} API ${info.version}`
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="description" content="${escapeHtml(info.summary)}">
<title>${escapeHtml(title)}</title>
<link rel="stylesheet" href="/docs.css">
</head>
<body>
<a class="skip" href="#content">Skip to the content</a>
<nav aria-label="Contents">
<p class="brand"><a href="#top">${escapeHtml(info.title)}</a> <small>API ${escapeHtml(info.version)}</small></p>
<ul>
<li><a href="#tokens">Tokens</a></li>
${groups.map(({ name, places }) => contentsOf(name, places)).join('\n')}
<li><a href="#request-headers">Headers of requests</a></li>
<li><a href="#headers">Headers of answers</a></li>
<li><a href="#schemas">Schemas</a></li>
</ul>
</nav>
<main id="content">
<header id="top">
<h1>${escapeHtml(title)}</h1>
${paragraphs(info.description)}
<p>This page is made from <a href="/openapi.json"><code>/openapi.json</code></a> (OpenAPI 3.1).</p>
</header>
<section id="tokens"><h2>Tokens</h2>
<p>Send a token as <code>Authorization: Bearer …</code>.</p>
${table(
  ['scheme', 'meaning'],
  Object.entries(components.securitySchemes).map(([name, { description }]) => [
    `<code>${escapeHtml(name)}</code>`,
    inline(description),
  ]),
)}
</section>
${groups.map(({ name, description, places }) => groupOf(document, { name, description, places })).join('\n')}
<section id="request-headers"><h2>Headers of requests</h2>
${table(
  ['header', 'type', 'example', 'meaning'],
  Object.values(components.parameters)
    .filter((parameter) => parameter.in === 'header')
    .map(({ name, schema, example, description }) => [
      `<code id="${requestHeaderAnchor(name)}">${escapeHtml(name)}</code>`,
      typeOf(schema),
      `<code>${escapeHtml(String(example))}</code>`,
      inline(description),
    ]),
)}
</section>
<section id="headers"><h2>Headers of answers</h2>
${table(
  ['header', 'example', 'meaning'],
  Object.entries(components.headers).map(([name, header]) => [
    `<code id="header-${name.toLowerCase()}">${escapeHtml(name)}</code>`,
    `<code>${escapeHtml(String(header.example))}</code>`,
    inline(header.description),
  ]),
)}
</section>
<section id="schemas"><h2>Schemas</h2>
<p class="index">${Object.keys(components.schemas)
    .map((name) => `<a href="#${schemaAnchor(name)}">${escapeHtml(name)}</a>`)
    .join(' · ')}</p>
${Object.entries(components.schemas)
  .map(([name, schema]) => schemaSection(name, schema))
  .join('\n')}
</section>
</main>
</body>
</html>
`
}

function placesOf({ paths }: Document, tag: string): Place[] {
  return Object.entries(paths).flatMap(([path, item]) =>
    // In the order of the route table.
    Object.keys(item).flatMap((method) => {
      const operation = METHODS.includes(method) ? (item[method] as Operation) : undefined // `parameters` is no method
      const pathParameters = (item.parameters ?? []) as Place['pathParameters'] // OpenAPI's own form
      return operation?.tags.includes(tag) ? [{ method, path, operation, pathParameters }] : []
    }),
  )
}

const contentsOf = (name: string, places: readonly Place[]): string =>
  `<li><a href="#${anchor(name)}">${escapeHtml(name)}</a>
<ul>${places.map(({ operation }) => `<li><a href="#${operationAnchor(operation)}">${escapeHtml(operation.summary)}</a></li>`).join('')}</ul></li>`

function groupOf(
  document: Document,
  { name, description, places }: { name: string; description: string; places: readonly Place[] },
): string {
  const rows = places.map(({ method, path, operation }) => [
    `<a href="#${operationAnchor(operation)}">${escapeHtml(operation.summary)}</a>`,
    `<span class="method ${method}">${method.toUpperCase()}</span> <code>${pathHtml(path)}</code>`,
  ])
  return `<section id="${anchor(name)}"><h2>${escapeHtml(name)}</h2>
<p>${inline(description)}</p>
${table(['operation', 'method and path'], rows)}
${places.map((place) => operationSection(document, place)).join('\n')}
</section>`
}
