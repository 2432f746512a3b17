// The README, executed: its shell lines run word by word in bash against `npm run dev`, and what they print is compared with
// the answers it shows. Only the address and the state folder are exchanged, so that no developer's own broker is disturbed.
import { execFile } from 'node:child_process'
import { readFileSync, statSync } from 'node:fs'
import { request } from 'node:http'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type DevPlace, DevServer, listens, newPlace, removePlace, runningProcesses, terminal } from './devServer.ts'
import { fencesOf, root, sectionOf, textOf } from './repository.ts'

const run = promisify(execFile)

const readme = textOf('README.md')
const WALK = 'A walk through the doors'
const COMMANDS = 'Two commands'
const DEPLOY = 'Deploy'
const walk = fencesOf(sectionOf(readme, WALK))
const scripts = walk.filter(({ language }) => language === 'sh')
const [example, once] = walk.filter(({ language }) => language === 'js').map(({ code }) => code)
const BETWEEN = '----- next block -----'

let place: DevPlace
let server: DevServer
/** What each block of the walk printed. */
let printed: string[]
/** Made by the walk. */
let token: string
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
  it('has no shell block that is not executed here', () => {
    const all = fencesOf(readme).filter(({ language }) => language === 'sh')
    const known = [COMMANDS, WALK, DEPLOY].flatMap((heading) => fencesOf(sectionOf(readme, heading)))
    expect(all.filter(({ code }) => !known.some((fence) => fence.code === code))).toEqual([])
    expect(fencesOf(sectionOf(readme, COMMANDS)).map(({ code }) => code)).toEqual([
      'npm ci && npm run dev',
      'npm ci && npm test',
    ])
  })

  it('leads through the doors as written', async () => {
    const lines = scripts.map(({ code }) => code).join(`\necho '${BETWEEN}'\n`)
    const script = substitute(substitute(lines, 'BROKER', brokerUrl()), 'STATE', place.state)
    const ours = `\necho '${BETWEEN}'\necho "$TOKEN $KEY"`
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', script + ours], { cwd: root, env: terminal() })
    printed = stdout.split(`${BETWEEN}\n`)
    expect(printed).toHaveLength(scripts.length + 1)
    ;[token = '', uid = ''] = (printed.pop() ?? '').trim().split(' ')
    expect(uid).toMatch(/^[\w-]{32}$/)
  })

  const answers = walk.flatMap((fence, at) => (fence.language === 'json' ? [[at, fence] as const] : []))
  it.each(answers.map(([at, { code }]) => ({ at, code, asked: summaryOf(walk[at - 1]?.code ?? '') })))(
    'shows what is answered to $asked',
    ({ at, code }) => {
      const block = walk[at - 1]
      expect(block?.language).toBe('sh')
      const answer = printed[block ? scripts.indexOf(block) : -1] ?? ''
      expect(unvarying(JSON.parse(answer))).toEqual(unvarying(JSON.parse(code)))
    },
  )

  it('runs the example with the official SDK', () => {
    expect(printed.at(-1)).toMatch(/^[\w-]{32} from the SDK\n$/)
    const file = textOf('examples/sdk.mjs').replaceAll(/^\/\/.*\n/gm, '')
    expect(file.trim()).toBe(example?.trim())
  })

  it('makes one key of a creation that is repeated with its Idempotency-Key', async () => {
    const client = example?.slice(0, example.indexOf('const created'))
    for (const _ of ['first', 'repeat']) {
      await run('node', ['--input-type=module', '--eval', `${client}\n${once}`], {
        cwd: root,
        env: terminal({ TURN_BROKER_URL: brokerUrl(), TURN_BROKER_TOKEN: demoToken() }),
      })
    }
    const { result } = await ask(keysUrl('demo'), demoToken())
    expect(result.filter(({ name }) => name === 'once')).toHaveLength(1)
  })

  it('makes secrets of the documented form for a deployment', async () => {
    const [block] = fencesOf(sectionOf(readme, DEPLOY)).filter(({ language }) => language === 'sh')
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', block?.code ?? 'false'], { env: terminal() })
    expect(stdout).toMatch(/^ROOT_KEYS=k1:[A-Za-z0-9+/]{43}=\nADMIN_TOKEN=[\w-]{43}\n$/)
  })
})

describe('npm run dev', () => {
  it('prints lines to copy that work, and no secret', async () => {
    const lines = server.output.split('\n').map((line) => line.trim())
    const commands = lines.filter((line) => /^(?:[A-Z_]+=|curl |npm run example)/.test(line))
    expect(commands.length).toBeGreaterThanOrEqual(6)
    const { stdout } = await run('bash', ['-euo', 'pipefail', '-c', commands.join('\n')], {
      cwd: root,
      env: terminal(),
    })
    expect(stdout).toContain('"success":true')
    expect(stdout).toMatch(/[\w-]{32} from the SDK/)
    expect(stdout).not.toContain('"success":false')

    const secrets = [...readFileSync(path.join(root, '.dev.vars'), 'utf8').matchAll(/="(.+)"/g)].map(([, it]) => it)
    expect(secrets.length).toBeGreaterThanOrEqual(3)
    for (const secret of [...secrets, demoToken()]) expect(server.output).not.toContain(secret)
  })

  it('keeps its secrets in files that only their owner can read', () => {
    for (const file of [path.join(root, '.dev.vars'), path.join(place.state, 'demo-token')]) {
      expect(statSync(file).mode & 0o077).toBe(0)
    }
  })

  it.each(['evil.example', 'evil.example:8787', '192.0.2.1', '127.0.0.1.evil.example', 'localhost.evil.example'])(
    'refuses a request whose Host is %s',
    async (host) => {
      for (const route of ['/healthz', '/v1/tenants/demo', '/client/v4/accounts/demo/calls/turn_keys']) {
        const answer = await askAs(host, route)
        expect(answer).toMatchObject({ status: 403, body: expect.stringMatching(/https_required|31006/) })
      }
    },
  )

  it('answers a request whose Host is localhost', async () => {
    expect(await askAs(`localhost:${place.port}`, '/v1/tenants/demo')).toMatchObject({ status: 200 })
  })

  it('ends all that it started on Ctrl-C', async () => {
    const started = server.processes()
    expect(started.length).toBeGreaterThan(2) // npm, node, wrangler, workerd
    expect(await listens(place.port)).toBe(true)
    await server.interrupt()
    const running = new Set(runningProcesses().map(({ pid }) => pid))
    expect(started.filter((pid) => running.has(pid))).toEqual([])
    expect([await listens(place.port), await listens(place.emulatorPort)]).toEqual([false, false])
  })

  it('finds its state again at the next start', async () => {
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

/** What differs from run to run, by its form; all else must be as the README says. */
function unvarying(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unvarying)
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, unvarying(inner)]))
  }
  if (typeof value !== 'string') return value
  if (/^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(value)) return '(time)'
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(value)) return '(request id)'
  if (/^[\w-]{32}$/.test(value)) return '(uid)'
  if (/^[0-9A-Za-z]{12}$/.test(value)) return '(token id)'
  return value.replace(/^tb_acme_[0-9A-Za-z]{12}_.+$/, '(token)')
}

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
