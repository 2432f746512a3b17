// The README, executed: its shell lines run word by word in bash against `npm run dev`, and what they print is compared with
// the answers it shows; likewise its JavaScript, and that of docs/browser.md. Only the address and the state folder are
// exchanged, so that no developer's own broker is disturbed.
import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { listens } from '../../../emulator/turn/ports.ts'
import { turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import type { TurnRestAnswer } from '../../../src/contract/resources/credentials.ts'
import { type DevPlace, DevServer, newPlace, removePlace, terminal } from '../support/devServer.ts'
import { runningProcesses } from '../support/processes.ts'
import { evaluate, FakePeer, fetchOfPage, type Page, pageCode } from './documentPage.ts'
import { fencesOf, root, sectionOf, tableOf, textOf } from './repository.ts'
import { unvarying } from './unvarying.ts'

const run = promisify(execFile)

const readme = textOf('README.md')
const WALK = 'A walk through the doors'
const COMMANDS = 'Two commands'
const DEPLOY = 'Deploy'
const walk = fencesOf(sectionOf(readme, WALK))
const scripts = walk.filter(({ language }) => language === 'sh')
const [inPage, example, once] = walk.filter(({ language }) => language === 'js').map(({ code }) => code)
const BETWEEN = '----- next block -----'

let place: DevPlace
let server: DevServer
/** What each block of the walk printed. */
let printed: string[]
/** Made by the walk. */
let token: string
let clientToken: string
let uid: string

const brokerUrl = () => `http://127.0.0.1:${place.port}`
const demoToken = () => readFileSync(path.join(place.state, 'demo-token'), 'utf8').trim()
const keysUrl = (tenant: string) => `${brokerUrl()}/client/v4/accounts/${tenant}/calls/turn_keys`

beforeAll(async () => {
  place = await newPlace()
  server = await DevServer.start(place)
})

afterAll(async () => {
  await server?.kill()
  if (place) removePlace(place)
})

describe('the README', () => {
  it('The README has no shell block that is not executed here', () => {
    const all = fencesOf(readme).filter(({ language }) => language === 'sh')
    const known = [COMMANDS, WALK, DEPLOY].flatMap((heading) => fencesOf(sectionOf(readme, heading)))
    expect(all.filter(({ code }) => !known.some((fence) => fence.code === code))).toEqual([])
    expect(fencesOf(sectionOf(readme, COMMANDS)).map(({ code }) => code)).toEqual([
      'npm ci && npm run dev',
      'npm ci && npm test',
    ])
  })

  it('The README leads through the doors as written', async () => {
    const lines = scripts.map(({ code }) => code).join(`\necho '${BETWEEN}'\n`)
    const script = substitute(substitute(lines, 'BROKER', brokerUrl()), 'STATE', place.state)
    const ours = `\necho '${BETWEEN}'\necho "$TOKEN $CLIENT_TOKEN $KEY"`
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script + ours], { cwd: root, env: terminal() })
    printed = stdout.split(`${BETWEEN}\n`)
    expect(printed).toHaveLength(scripts.length + 1)
    ;[token = '', clientToken = '', uid = ''] = (printed.pop() ?? '').trim().split(' ')
    expect(uid).toMatch(/^[\w-]{32}$/)
  })

  const answers = walk.flatMap((fence, at) => (fence.language === 'json' ? [[at, fence] as const] : []))
  it.each(answers.map(([at, { code }]) => ({ at, code, asked: summaryOf(walk[at - 1]?.code ?? '') })))(
    'The README shows what is answered to $asked',
    ({ at, code }) => {
      const block = walk[at - 1]
      expect(block?.language).toBe('sh')
      const answer = printed[block ? scripts.indexOf(block) : -1] ?? ''
      expect(unvarying(JSON.parse(answer))).toEqual(unvarying(JSON.parse(code)))
    },
  )

  it('The README has a page ask for ICE servers without a preflight, and give the answer to a connection as it is', async () => {
    const connect = (token: string) =>
      evaluate(`${inPage}\nreturn peer`, {
        clientToken: token,
        fetch: fetchOfPage(brokerUrl()),
        RTCPeerConnection: FakePeer,
      })
    const { configuration } = (await connect(clientToken)) as FakePeer // what the snippet makes
    expect(configuration).toMatchObject({ ttl: expect.any(Number), source: 'minted' })
    expect(configuration.iceServers.map((server) => Object.keys(server))).toEqual([
      ['urls'],
      ['urls', 'username', 'credential'],
    ])
    await expect(connect('x')).rejects.toThrow('invalid_token')
  })

  it('The README runs the example with the official SDK', () => {
    expect(printed.at(-1)).toMatch(/^[\w-]{32} from the SDK\n$/)
    const file = textOf('examples/sdk.mjs').replaceAll(/^\/\/.*\n/gm, '')
    expect(file.trim()).toBe(example?.trim())
  })

  it('The README makes one key of a creation that is repeated with its Idempotency-Key', async () => {
    const client = example?.slice(0, example.indexOf('const created'))
    await run('node', ['--input-type=module', '--eval', `${client}\n${once}\n${once}`], {
      cwd: root,
      env: terminal({ TURN_BROKER_URL: brokerUrl(), TURN_BROKER_TOKEN: demoToken() }),
    })
    const { result } = await ask(keysUrl('demo'), demoToken())
    expect(result.filter(({ name }) => name === 'once')).toHaveLength(1)
  })

  it('The README makes secrets of the documented form for a deployment', async () => {
    const [block] = fencesOf(sectionOf(readme, DEPLOY)).filter(({ language }) => language === 'sh')
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', block?.code ?? 'false'], { env: terminal() })
    expect(stdout).toMatch(/^ROOT_KEYS=k1:[A-Za-z0-9+/]{43}=\nADMIN_TOKEN=[\w-]{43}\n$/)
  })
})

describe('docs/browser.md', () => {
  const page = async () => (await evaluate(pageCode(), { fetch: fetchOfPage(brokerUrl()) })) as Page // what it defines

  it('Docs/browser.md asks for ICE servers as written, and learns why it is refused', async () => {
    const { askIceServers, askWithJson } = await page()
    const url = 'https://turn.example.com/v1/tenants/acme/ice-servers'
    const answer = await askIceServers(url, async () => clientToken)
    const fields = tableOf(textOf('docs/browser.md'), 'field').map(([name]) => name)
    expect(Object.keys(answer)).toEqual(fields)
    expect((await askWithJson(url, clientToken)).status).toBe(201)
    await expect(askIceServers(url, async () => 'x')).rejects.toThrow('invalid_token')
  })
})

describe('npm run dev', () => {
  it.concurrent('Npm run dev prints lines to copy that work, and no secret', async () => {
    const lines = server.output
      .replaceAll(/\\\n\s*/g, '')
      .split('\n')
      .map((line) => line.trim())
    const commands = lines.filter((line) => /^(?:[A-Z_]+=|curl |npm run example)/.test(line))
    expect(commands.length).toBeGreaterThanOrEqual(11)
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', commands.join('\n')], {
      cwd: root,
      env: terminal(),
    })
    expect(stdout).toContain('"success":true')
    expect(stdout).toMatch(/[\w-]{32} from the SDK/)
    expect(stdout).not.toMatch(/"success":false|"code":/)
    expect(stdout).toContain('"source":"minted"')
    expect(stdout.match(/"iceServers":/g)).toHaveLength(2)
    expect(stdout).toContain('"matched":2')

    const secrets = [...readFileSync(path.join(root, '.dev.vars'), 'utf8').matchAll(/="(.+)"/g)].map(([, it]) => it)
    expect(secrets.length).toBeGreaterThanOrEqual(3)
    for (const secret of [...secrets, demoToken()]) expect(server.output).not.toContain(secret)
  })

  it.concurrent('Npm run dev says whether coturn runs beside it, and what it hands out then relays', async () => {
    if (!turnServerIsInstalled()) {
      expect(server.output).toContain('coturn is not installed')
      return
    }
    const rest = `${brokerUrl()}/v1/tenants/demo/turn-rest?service=turn`
    const response = await fetch(rest, { headers: { authorization: `Bearer ${demoToken()}` } })
    const { username, password, uris } = (await response.json()) as TurnRestAnswer // the contract is checked elsewhere
    expect(server.output).toContain(`coturn relays at ${uris[0]}`)
    const port = /:(\d+)\?/.exec(uris[0] ?? '')?.[1] ?? ''
    const client = ['-u', username, '-w', password, '-p', port, '-y', '-c', '-n', '1', '-m', '1', '127.0.0.1']
    await run('turnutils_uclient', client, { timeout: 10_000 })
  })

  it('Npm run dev keeps its secrets in files that only their owner can read', () => {
    for (const file of [path.join(root, '.dev.vars'), path.join(place.state, 'demo-token')]) {
      expect(statSync(file).mode & 0o077).toBe(0)
    }
  })

  it.each(['evil.example', 'evil.example:8787', '192.0.2.1', '127.0.0.1.evil.example', 'localhost.evil.example'])(
    'Npm run dev refuses a request whose Host is %s',
    async (host) => {
      for (const route of ['/healthz', '/v1/tenants/demo', '/client/v4/accounts/demo/calls/turn_keys']) {
        const answer = await askAs(host, route)
        expect(answer).toMatchObject({ status: 403, body: expect.stringMatching(/https_required|31006/) })
      }
    },
  )

  it('Npm run dev answers a request whose Host is localhost', async () => {
    expect(await askAs(`localhost:${place.port}`, '/v1/tenants/demo')).toMatchObject({ status: 200 })
  })

  it('Npm run dev ends all that it started on Ctrl-C', async () => {
    const started = server.processes()
    expect(started.length).toBeGreaterThan(2) // npm, node, wrangler, workerd
    expect(await listens(place.port)).toBe(true)
    await server.interrupt()
    const running = new Set(runningProcesses().map(({ pid }) => pid))
    expect(started.filter((pid) => running.has(pid))).toEqual([])
    expect([await listens(place.port), await listens(place.emulatorPort)]).toEqual([false, false])
  })

  it('Npm run dev finds its state again at the next start', async () => {
    const before = demoToken()
    server = await DevServer.start(place)
    const { result } = await ask(`${keysUrl('acme')}/${uid}`, token)
    expect(result).toMatchObject({ uid, name: 'first key', state: 'active' })
    expect(demoToken()).toBe(before)
  })
})

/** Exchanges the value of the README's one line `NAME=…`. */
function substitute(script: string, name: string, value: string): string {
  const line = new RegExp(`^${name}=.*$`, 'm')
  if (script.match(new RegExp(line, 'gm'))?.length !== 1) throw new Error(`the README sets ${name} not once`)
  return script.replace(line, `${name}='${value}'`)
}

const summaryOf = (script: string): string => /"(\$\w+[^"]*)".*/.exec(script)?.[1] ?? script

async function ask(url: string, bearer: string) {
  const response = await fetch(url, { headers: { authorization: `Bearer ${bearer}` } })
  return (await response.json()) as { result: { uid: string; name: string }[] } // compared by the tests
}

/** `fetch` does not let a caller choose the Host. */
const askAs = (host: string, route: string): Promise<{ status: number | undefined; body: string }> =>
  new Promise((resolve, reject) => {
    const headers = { host, authorization: `Bearer ${demoToken()}` }
    request({ host: '127.0.0.1', port: place.port, path: route, headers }, async (response) => {
      let body = ''
      for await (const chunk of response) body += String(chunk)
      resolve({ status: response.statusCode, body })
    })
      .once('error', reject)
      .end()
  })
