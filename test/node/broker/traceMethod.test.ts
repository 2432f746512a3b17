/** TRACE and its relatives on every path, by a raw socket: `fetch` refuses to send them. An answer to TRACE would repeat the headers. */
import net from 'node:net'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { ROUTES, type Route } from '../../../src/contract/routes.ts'
import { SCOPES } from '../../../src/contract/scopes.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

let broker: RunningBroker
let token: string

beforeAll(async () => {
  broker = await startBroker()
  token = (await broker.newTenant('acme', { scopes: [...SCOPES] })).token
}, 120_000)

afterAll(() => broker?.stop())

/** One request over a socket of its own; the whole answer as text. */
function raw(method: string, path: string, headers: readonly string[] = []): Promise<string> {
  const { hostname, port, host } = new URL(broker.url)
  const lines = [`${method} ${path} HTTP/1.1`, `Host: ${host}`, 'Connection: close', ...headers, '', '']
  return new Promise((resolve, reject) => {
    let text = ''
    const socket = net.connect(Number(port), hostname, () => socket.write(lines.join('\r\n')))
    socket.setTimeout(10_000, () => socket.destroy(new Error(`no end of the answer to ${method} ${path}`)))
    socket.on('data', (chunk) => {
      text += chunk.toString()
    })
    socket.once('end', () => resolve(text))
    socket.once('error', reject)
  })
}

const PATHS = [...new Set(Object.values(ROUTES).map(({ path }) => path))]
const filledIn = (path: string) =>
  path.replace(/:(tenant|account_id)/g, 'acme').replace(/:([a-z_]+)/g, (_, name: string) => `${name[0]}`.repeat(32))

it.each(['TRACE', 'TRACK', 'CONNECT'])(
  '%s is refused on every path, repeats no header, and changes nothing',
  async (method) => {
    const canary = crypto.randomUUID()
    const before = await broker.admin('GET', '/tenants/acme')
    await broker.emulator.clearLog()
    const wrong: string[] = []
    for (const path of PATHS) {
      const answer = await raw(method, filledIn(path), [`Authorization: Bearer ${token}`, `X-Canary: ${canary}`])
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(answer)?.[1])
      if (!(status >= 400 && status < 600)) wrong.push(`${path}: ${answer.slice(0, 80)}`)
      if (answer.includes(canary) || answer.includes(token)) wrong.push(`${path}: repeats a header`)
    }
    expect(wrong).toEqual([])
    expect((await broker.admin('GET', '/tenants/acme')).json).toEqual(before.json)
    expect(await broker.emulator.log()).toEqual([])
  },
)

it('TRACE that reaches the Worker is a 405 of the error table, with the methods of the path', async () => {
  for (const path of PATHS) {
    const answer = await raw('TRACE', filledIn(path), [`Authorization: Bearer ${token}`])
    // `subjects/search` is also a `subjects/:subject_id`.
    const isHere = (route: Route) => new RegExp(`^${route.path.replace(/:[a-z_]+/g, '[^/]+')}$`).test(filledIn(path))
    const methods = (Object.values(ROUTES) as Route[]).filter(isHere).map(({ method }) => method)
    const [, status] = /^HTTP\/1\.1 (\d{3}) /.exec(answer) ?? []
    const [, allow = ''] = /^allow: (.*)$/im.exec(answer) ?? []
    expect({ path, status, allow: allow.trim().split(', ').sort() }).toEqual({
      path,
      status: '405',
      allow: methods.sort(),
    })
    expect(answer).toMatch(/"code":(?:"method_not_allowed"|\d{5})/)
  }
})
