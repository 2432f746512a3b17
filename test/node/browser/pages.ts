// Serves the browser test's page on an origin of its own, as a tenant's app would be, with a back end that knows who is
// signed in. No assertions here.
import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'

const HOST = '127.0.0.1'
const PAGE =
  '<!doctype html><meta charset="utf-8"><link rel="icon" href="data:,"><script type="module" src="/page.js"></script>'

export interface App {
  readonly origin: string
  /** The next report of a page that no test drives. */
  reported(): Promise<unknown>
  close(): Promise<void>
}

/** `clientToken`: the back end's way to the broker. */
export async function serveApp(clientToken: (subject: string) => Promise<string>): Promise<App> {
  const script = readFileSync(path.join(import.meta.dirname, 'page.js'))
  let report: (told: unknown) => void = () => undefined
  const server = createServer(async (request, response) => {
    if (request.url === '/turn-token') response.end(await clientToken(await textOf(request)))
    else if (request.url === '/report') response.end(report(JSON.parse(await textOf(request))))
    else {
      const isScript = request.url === '/page.js'
      response.writeHead(200, { 'content-type': isScript ? 'text/javascript' : 'text/html' })
      response.end(isScript ? script : PAGE)
    }
  })
  await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  const { port } = server.address() as AddressInfo // it listens on TCP
  return {
    origin: `http://${HOST}:${port}`,
    reported: () =>
      new Promise((resolve) => {
        report = resolve
      }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) text += chunk
  return text
}
