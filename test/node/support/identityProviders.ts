// The identity providers that tenants of a test bring along: one from a library, and one that answers as a test
// tells it to, however badly. Both on loopback; the Worker under test reaches them by the names in `urls`.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Events, type MutableToken, OAuth2Server, type TokenRequestIncomingMessage } from 'oauth2-mock-server'
import type { PlayedAnswer, Received } from './playedAnswer.ts'

export interface IdentityProviders {
  /** Where each of these hosts is to be found. */
  urls: Record<string, string>
  close(): Promise<void>
}

const REAL = 'idp.test.example'
const TOLD = 'told-idp.test.example'
/** A team of Cloudflare Access, whose keys are played as those of the other. */
const TEAM = 'team.cloudflareaccess.com'
const DRIP_EVERY_MS = 100

export async function startIdentityProviders(): Promise<IdentityProviders> {
  const real = new OAuth2Server()
  // Its own name, as its metadata and its tokens state it: not where it listens.
  real.issuer.url = `https://${REAL}`
  // An even number more, because each login takes two in turn: for the access token, and for the ID token.
  real.service.addRoute('POST', '/test/keys', async (_, response) => {
    await real.issuer.keys.generate('RS256')
    await real.issuer.keys.generate('ES256')
    response.end()
  })
  // Every caller that asks for an audience gets it, whatever the grant.
  real.service.on(Events.BeforeTokenSigning, ({ payload }: MutableToken, { body }: TokenRequestIncomingMessage) => {
    if (body.aud !== undefined) payload.aud = body.aud
  })
  await real.issuer.keys.generate('RS256')
  await real.start(0, '127.0.0.1')

  const told = playedProvider()
  await new Promise<void>((resolve, reject) => {
    told.once('error', reject)
    told.listen(0, '127.0.0.1', resolve)
  })
  const { port } = told.address() as AddressInfo // a listening TCP server has an AddressInfo
  const toldUrl = `http://127.0.0.1:${port}`
  return {
    urls: { [REAL]: `http://127.0.0.1:${real.address().port}`, [TOLD]: toldUrl, [TEAM]: toldUrl },
    async close() {
      await real.stop()
      await new Promise((resolve) => {
        told.close(resolve)
        told.closeAllConnections()
      })
    },
  }
}

/** `PUT /told{path}` says what the path answers from now on; `GET /told{path}` tells who asked there. */
function playedProvider() {
  const answers = new Map<string, PlayedAnswer>()
  const log = new Map<string, Received[]>()
  return createServer(async (request, response) => {
    const { method = '', url = '/', headers } = request
    const told = /^\/told(\/.*)$/.exec(url)?.[1]
    if (told !== undefined && method === 'PUT') {
      answers.set(told, JSON.parse(await textOf(request)) as PlayedAnswer) // written by the support of the tests
      response.end()
    } else if (told !== undefined) {
      response.end(JSON.stringify(log.get(told) ?? []))
    } else {
      log.set(url, [...(log.get(url) ?? []), { method, headers }])
      await answer(response, answers.get(url) ?? { status: 404 })
    }
  })
}

async function answer(response: ServerResponse, { status = 200, headers, body = '', afterMs, instead }: PlayedAnswer) {
  if (afterMs !== undefined) await new Promise((resolve) => setTimeout(resolve, afterMs))
  if (instead === 'hang') return
  if (instead === 'reset') {
    response.destroy()
    return
  }
  response.writeHead(status, { 'content-type': 'application/json', ...headers })
  if (instead === 'drip') {
    const timer = setInterval(() => response.write(' '), DRIP_EVERY_MS)
    response.on('close', () => clearInterval(timer))
  } else if (instead === 'flood') flood(response)
  else response.end(body)
}

function flood(response: ServerResponse) {
  const more = () => {
    while (!response.destroyed && response.write(' '.repeat(16_384)));
  }
  response.on('drain', more)
  more()
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return text
}
