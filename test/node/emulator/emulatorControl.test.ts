// The emulator's control routes, its log, and the server and command around it.
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { request } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { createEmulator } from '../../../emulator/app.ts'
import { EmulatorControl, type FaultOrderInput } from '../../../emulator/client.ts'
import { type RunningEmulator, startEmulator } from '../../../emulator/server.ts'
import { turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { ACCOUNT, KEYS, TOKEN, upstreamAt } from './emulatorHarness.ts'

type Fault = FaultOrderInput['fault']

let running: RunningEmulator
let control: EmulatorControl
let upstream: ReturnType<typeof upstreamAt>
beforeAll(async () => {
  running = await startEmulator({ apiToken: TOKEN })
  control = new EmulatorControl(running.url)
  upstream = upstreamAt(running.url)
})
beforeEach(() => control.reset())
afterAll(() => running.close())

describe('control', () => {
  it('Control plays faults in order, as often as ordered, on the operation and key that was named', async () => {
    const [one, two] = [await upstream.create(), await upstream.create()]
    const status = (code: number): Fault => ({ kind: 'status', status: code })
    await control.fault({ operation: 'get', fault: status(500), times: 2, uid: one.uid })
    await control.fault({ operation: '*', fault: status(502), times: 'always', uid: one.uid })
    const get = async (uid: string) => (await upstream.api('GET', `${KEYS}/${uid}`)).status
    expect([await get(two.uid), await get(one.uid), await get(one.uid), await get(one.uid)]).toEqual([
      200, 500, 500, 502,
    ])
    await control.clearFaults()
    await control.fault({ operation: 'get', fault: status(500), times: 'always', every: 3 })
    const statuses = []
    for (let n = 0; n < 6; n++) statuses.push(await get(one.uid))
    expect(statuses).toEqual([200, 200, 500, 200, 200, 500])
  })

  it('Control plays a fault only for the time that was ordered', async () => {
    let now = 1_000_000
    const emulator = createEmulator({ now: () => now })
    const ask = (route: string, init: RequestInit = {}) => emulator.fetch(new Request(`http://emulator${route}`, init))
    const order = { operation: '*', fault: { kind: 'status', status: 503 }, times: 'always', forMs: 30_000 }
    await ask('/__emulator/faults', { method: 'POST', body: JSON.stringify(order) })
    const status = async () => (await ask(KEYS, { headers: { authorization: 'Bearer any' } })).status
    now += 29_999
    expect([await status(), await status()]).toEqual([503, 503])
    now += 1
    expect(await status()).toBe(200)
  })

  it('Control refuses an order or a setting it does not know', async () => {
    const typo = { kind: 'status', statsu: 500 } as unknown as Fault
    await expect(control.fault({ operation: 'get', fault: typo })).rejects.toThrow('400')
    await expect(control.settings({ urls: 'none' as 'array' })).rejects.toThrow('400')
    expect((await control.settings()).urls).toBe('array')
  })

  it('Control logs every request without the bearer, and shows secrets only where asked to', async () => {
    const planted = await control.plantKey({ account: ACCOUNT })
    const { iceServers } = await upstream.mint(planted, { ttl: 60, customIdentifier: 'c' })
    await upstream.api('GET', '/nothing')
    const log = await control.log()
    const bearerSha256 = createHash('sha256').update(planted.key).digest('hex')
    expect(log).toMatchObject([
      {
        operation: 'generate-ice-servers',
        method: 'POST',
        bearerSha256,
        body: { ttl: 60, customIdentifier: 'c' },
        status: 201,
      },
      { operation: 'unknown', path: '/nothing', status: 404 },
    ])
    const secrets = [planted.key, iceServers?.[1]?.credential]
    const found = JSON.stringify([log, await control.state()])
    for (const secret of [...secrets, TOKEN]) expect(found).not.toContain(secret)
    const shown = await control.secrets()
    expect([shown.keys[0]?.key, shown.credentials[0]?.credential]).toEqual(secrets)
    await control.clearLog()
    expect(await control.log()).toEqual([])
  })
})

describe('the server', () => {
  it('The server keeps its state in a file that only its owner reads', async () => {
    const directory = mkdtempSync(path.join(tmpdir(), 'emulator-'))
    const stateFile = path.join(directory, 'not-there-yet', 'state.json')
    const first = await startEmulator({ stateFile })
    const key = await upstreamAt(first.url).create('kept')
    await first.close()
    expect(statSync(stateFile).mode & 0o777).toBe(0o600)
    const second = await startEmulator({ stateFile })
    expect(await upstreamAt(second.url).mint(key)).toMatchObject({ status: 201 })
    await second.close()
    rmSync(directory, { recursive: true })
  })

  it('The server closes at once, though connections hang', async () => {
    const own = await startEmulator()
    await new EmulatorControl(own.url).fault({ operation: '*', fault: { kind: 'hang' } })
    const hung = upstreamAt(own.url).api('POST', KEYS, { body: {} })
    hung.catch(() => {})
    while ((await new EmulatorControl(own.url).log()).length === 0);
    // Without an end to the hung connection this would wait for ever.
    await own.close()
    await expect(hung).rejects.toThrow()
  })

  it('The server runs as a command, says when it is ready and ends on SIGTERM', async () => {
    const probe = createServer().listen(0, '127.0.0.1')
    await once(probe, 'listening')
    const { port } = probe.address() as AddressInfo // listening on TCP
    probe.close()
    const relaying = turnServerIsInstalled() // what is missing is said, and in CI refused, by relay.test.ts
    const args = ['emulator/main.ts', '--port', String(port), ...(relaying ? ['--coturn'] : [])]
    const child = spawn(process.execPath, args)
    const [line] = await once(child.stdout, 'data')
    const url = `http://127.0.0.1:${port}`
    expect(String(line)).toBe(`emulator ready on ${url}\n`)
    const { iceServers } = await upstreamAt(url).mint(await upstreamAt(url).create())
    expect(JSON.stringify(iceServers)).toContain(relaying ? 'turn:127.0.0.1:' : 'turn:turn.cloudflare.com:')
    child.kill('SIGTERM')
    expect(await once(child, 'exit')).toEqual([0, null])
  })
})

it('Refuses a Host that does not name this machine, so that no web page reaches it by DNS rebinding', async () => {
  const statusFor = (host: string) =>
    new Promise<number | undefined>((resolve, reject) => {
      request(`${running.url}/__emulator/secrets`, { headers: { host } }, (response) => {
        response.resume()
        resolve(response.statusCode)
      })
        .once('error', reject)
        .end()
    })
  expect(await statusFor('evil.example')).toBe(403)
  expect(await statusFor(`localhost:${running.port}`)).toBe(200)
})
