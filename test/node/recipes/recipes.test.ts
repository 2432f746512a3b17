// The code of docs/recipes.md, executed word by word: in each WebRTC stack a call through a real TURN server (coturn), with credentials of the
// running broker that end while it goes on. RECIPE_RENEWALS: how many of them, 1 by default.
import { execFile, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, it } from 'vitest'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { fencesOf, root, textOf } from '../docs/repository.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

/** Debian's, which has python3-aiortc; another python3 may come first in the path. */
const PYTHON = '/usr/bin/python3'
const TTL_SECONDS = 12
const renewals = Number(process.env.RECIPE_RENEWALS ?? 1)
const DEADLINE_MS = (renewals + 3) * TTL_SECONDS * 1_000
/** Each fence of docs/recipes.md, in order, by the name of its module. */
const MODULES = ['startCall.js', 'keepCall.js', 'node-datachannel.js', 'werift.js', 'recipe.py']

const hasCoturn = turnServerIsInstalled()
const hasAiortc = spawnSync(PYTHON, ['-c', 'import aiortc, aiohttp'], { stdio: 'ignore' }).status === 0
const lacking = [...(hasCoturn ? [] : ['coturn']), ...(hasAiortc ? [] : ['python3-aiortc', 'python3-aiohttp'])]
if (lacking.length > 0 && process.env.CI) throw new Error(`not installed: ${lacking}; in CI nothing is skipped`)
if (lacking.length > 0) console.log(`skipped: not installed: ${lacking} (Debian packages of these names)`)

describe.skipIf(!hasCoturn)('docs/recipes.md', () => {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-recipes-'))
  let turnServer: RunningTurnServer
  let broker: RunningBroker
  let apiToken: string

  beforeAll(async () => {
    const codes = fencesOf(textOf('docs/recipes.md')).filter(({ language }) => ['js', 'python'].includes(language))
    for (const [at, name] of MODULES.entries()) writeFileSync(path.join(folder, name), codes[at]?.code ?? '')
    for (const name of ['call.js', 'call.py']) cpSync(path.join(import.meta.dirname, name), path.join(folder, name))
    writeFileSync(path.join(folder, 'package.json'), '{"type":"module"}')
    const library = path.join(folder, 'node_modules/turn-broker-client')
    mkdirSync(library, { recursive: true })
    writeFileSync(path.join(library, 'package.json'), '{"type":"module","exports":"./index.js"}')
    writeFileSync(path.join(library, 'index.js'), textOf('public/client.js'))
    for (const name of ['@roamhq', 'node-datachannel', 'werift'])
      symlinkSync(path.join(root, 'node_modules', name), path.join(folder, 'node_modules', name))

    turnServer = await startTurnServer()
    broker = await startBroker({ turnServer })
    const policy = { reuse: false, defaultTtl: TTL_SECONDS }
    const tenant = await broker.newTenant('acme', { scopes: ['turn_keys:write', 'client_tokens:create'], policy })
    apiToken = tenant.token
    await ask('/client/v4/accounts/acme/calls/turn_keys', { name: 'calls' })
  })
  afterAll(async () => {
    await broker?.stop()
    await turnServer?.close()
    rmSync(folder, { recursive: true })
  })

  async function ask(route: string, body: object): Promise<Record<string, unknown>> {
    const headers = { authorization: `Bearer ${apiToken}`, 'content-type': 'application/json' }
    const response = await fetch(broker.url + route, { method: 'POST', headers, body: JSON.stringify(body) })
    if (response.status !== 201) throw new Error(`${route}: ${response.status} ${await response.text()}`)
    return (await response.json()) as Record<string, unknown> // JSON of the broker is an object
  }

  /** A call in a process of its own, over so many renewals. What it counted. */
  async function called(stack: string): Promise<{ sent: number; received: number; renewals: number }> {
    const { token } = await ask('/v1/tenants/acme/client-tokens', { subject: stack })
    const options = JSON.stringify({ stack, url: `${broker.url}/v1/tenants/acme/ice-servers`, token, renewals })
    const [program, script] = stack === 'aiortc' ? [PYTHON, 'call.py'] : [process.execPath, 'call.js']
    const { stdout } = await promisify(execFile)(program, [script, options], { cwd: folder, timeout: DEADLINE_MS })
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  }

  it.concurrent('Docs/protocol.md shows a request that the broker answers with the fields shown', async () => {
    const [{ code: request } = { code: '' }, { code: answer } = { code: '' }] = fencesOf(textOf('docs/protocol.md'))
    const { token } = await ask('/v1/tenants/acme/client-tokens', { subject: 'protocol' })
    const env = { ...process.env, BROKER: broker.url, CLIENT_TOKEN: String(token) }
    const { stdout } = await promisify(execFile)('bash', ['-c', request], { env })
    const fields = (text: string) => Object.keys(JSON.parse(text) as object).join()
    if (fields(stdout) !== fields(answer)) throw new Error(stdout)
  })

  const stacks = ['wrtc', 'node-datachannel', 'werift', ...(hasAiortc ? ['aiortc'] : [])]
  it.concurrent.each(stacks)(
    'Docs/recipes.md keeps a call of %s on a valid relay while its credentials end, and loses nothing',
    async (stack) => {
      const counts = await called(stack)
      if (counts.renewals < renewals || counts.sent < 100 || counts.received !== counts.sent)
        throw new Error(JSON.stringify(counts))
    },
    DEADLINE_MS,
  )
})
