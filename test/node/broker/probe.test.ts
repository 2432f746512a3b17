// `npm run probe` as an operator runs it: against the running broker and a real TURN server, in both outcomes, and over TLS.
import { execFile, execFileSync, spawn, spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { freePorts, listens } from '../../../emulator/turn/ports.ts'
import { type RunningTurnServer, startTurnServer, turnServerIsInstalled } from '../../../emulator/turn/turnServer.ts'
import { tryRelay } from '../../../scripts/probe/relay.ts'
import { parseTurnUrl, type TurnAddress } from '../../../scripts/probe/transports.ts'
import { type RunningBroker, startBroker } from '../support/runningBroker.ts'

const root = path.join(import.meta.dirname, '../../..')
const [OPENSSL, TURN_SERVER] = ['openssl', 'turnserver']
const installed = turnServerIsInstalled()
if (!installed && process.env.CI) throw new Error('coturn is not installed, and in CI nothing is skipped')
if (!installed) console.log('skipped: coturn is not installed (Debian: apt-get install coturn)')

interface Run {
  code: number
  report: Record<string, unknown>
}

/** Runs the command with the token in its environment. Checks that one line came and that the token is not in it. */
function probe(url: string, token: string, ...more: string[]): Promise<Run> {
  const script = path.join(root, 'scripts/probe.ts')
  const env = { ...process.env, TURN_BROKER_TOKEN: token }
  return new Promise((resolve) => {
    const child = execFile(process.execPath, [script, '--url', url, ...more], { env }, (_, stdout) => {
      expect(stdout).not.toContain(token)
      expect(stdout.trimEnd().split('\n')).toHaveLength(1)
      resolve({ code: child.exitCode ?? -1, report: JSON.parse(stdout) })
    })
  })
}

describe.skipIf(!installed)('the probe', () => {
  let turnServer: RunningTurnServer
  let broker: RunningBroker
  let token: string

  beforeAll(async () => {
    turnServer = await startTurnServer()
    broker = await startBroker({ turnServer })
    const tenant = await broker.newTenant('acme', {
      scopes: ['turn_keys:read', 'turn_keys:write', 'credentials:issue', 'credentials:revoke'],
    })
    token = tenant.token
    const keys = `${broker.url}/client/v4/accounts/acme/calls/turn_keys`
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    expect((await fetch(keys, { method: 'POST', headers, body: '{"name":"relays"}' })).status).toBe(201)
  })
  afterAll(async () => {
    await broker?.stop()
    await turnServer?.close()
  })

  it('The probe relays over UDP and TCP, and sees a wrong, a revoked and an expired credential refused', async () => {
    const { code, report } = await probe(broker.url, token)
    expect(report).toMatchObject({
      ok: true,
      relays: [
        { transport: 'udp', outcome: 'relayed' },
        { transport: 'tcp', outcome: 'relayed' },
      ],
      wrongPasswordRefused: true,
      revoked: { allocateSeconds: expect.any(Number) },
      expired: { allocateSeconds: expect.any(Number) },
    })
    expect(code).toBe(0)
  })

  it.each(['revoke', 'expiry', 'delete'])(
    'The probe measures how long a TURN server goes on after: %s',
    async (measure) => {
      const { code, report } = await probe(broker.url, token, '--measure', measure, '--within', '20')
      expect(report).toMatchObject({
        ok: true,
        measured: measure,
        seconds: { allocateSeconds: expect.any(Number), refreshSeconds: expect.any(Number) },
      })
      expect(code).toBe(0)
    },
  )

  it('The probe fails with exit code 1 where the TURN server goes on accepting what was revoked', async () => {
    // Cloudflare is told, and the TURN server beside it does not hear of it.
    const { dismiss } = turnServer.turn
    Object.assign(turnServer.turn, { dismiss: () => undefined })
    try {
      const { code, report } = await probe(broker.url, token, '--within', '2')
      expect(report).toMatchObject({ ok: false, wrongPasswordRefused: true, revoked: { allocateSeconds: null } })
      expect(code).toBe(1)
    } finally {
      Object.assign(turnServer.turn, { dismiss })
    }
  })

  it.each([
    ['a broker that is not there', 'http://127.0.0.1:1', 'GET /client/v4/accounts/acme/calls/turn_keys: no answer of'],
    ['no address', 'turn.example.com', "--url must be the broker's address"],
  ])('The probe says with exit code 2 that it could not try: %s', async (_, url, error) => {
    const { code, report } = await probe(url, token)
    expect(report).toMatchObject({ ok: false, error: expect.stringContaining(error) })
    expect(code).toBe(2)
  })

  it('The probe says in the words of the broker why it got no credential', async () => {
    const other = await broker.newToken('acme', ['turn_keys:read'])
    const { code, report } = await probe(broker.url, other.token)
    expect(report).toMatchObject({ ok: false, error: expect.stringContaining('403') })
    expect(code).toBe(2)
  })
})

describe.skipIf(!installed || spawnSync(OPENSSL, ['version']).error !== undefined)('the probe over TLS', () => {
  it('The probe relays over TLS with a trusted certificate, fails with another, and is refused with a wrong password', async () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'turn-broker-probe-'))
    const [port = 0, tlsPort = 0, cliPort = 0] = await freePorts(3)
    const [key, cert] = [path.join(folder, 'key.pem'), path.join(folder, 'cert.pem')]
    const request = 'req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=localhost -addext subjectAltName=IP:127.0.0.1'
    execFileSync(OPENSSL, [...request.split(' '), '-keyout', key, '-out', cert], { stdio: 'ignore' })
    const coturn = spawn(
      TURN_SERVER,
      [
        '-n',
        '--listening-ip=127.0.0.1',
        `--listening-port=${port}`,
        `--tls-listening-port=${tlsPort}`,
        '--relay-ip=127.0.0.1',
        '--allow-loopback-peers',
        '--lt-cred-mech',
        '--user=ann:good',
        '--realm=probe.test',
        `--cert=${cert}`,
        `--pkey=${key}`,
        `--userdb=${path.join(folder, 'turndb')}`,
        `--pidfile=${path.join(folder, 'pid')}`,
        '--cli-ip=127.0.0.1',
        `--cli-port=${cliPort}`,
        '--cli-password=unused-here',
        '--log-file=/dev/null',
      ],
      { stdio: 'ignore' },
    )
    try {
      while (!(await listens(tlsPort))) {
        if (coturn.exitCode !== null) throw new Error('coturn ended before it listened')
      }
      const address = parseTurnUrl(`turns:127.0.0.1:${tlsPort}?transport=tcp`) as TurnAddress // a TURN URL
      const ca = readFileSync(cert, 'utf8')
      const good = { username: 'ann', credential: 'good' }
      expect(await tryRelay(address, good, ca)).toMatchObject({ transport: 'tls', outcome: 'relayed' })
      expect(await tryRelay(address, good)).toMatchObject({
        outcome: 'failed',
        detail: expect.stringMatching(/certificate/),
      })
      expect(await tryRelay(address, { ...good, credential: 'bad' }, ca)).toMatchObject({
        outcome: 'refused',
        detail: expect.stringMatching(/^401 /),
      })
    } finally {
      coturn.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    }
  })
})

describe('a TURN URL', () => {
  it.each([
    ['turn:turn.cloudflare.com:3478?transport=udp', 'udp turn.cloudflare.com 3478'],
    ['turn:turn.cloudflare.com:3478?transport=tcp', 'tcp turn.cloudflare.com 3478'],
    ['turns:turn.cloudflare.com:443?transport=tcp', 'tls turn.cloudflare.com 443'],
    ['turns:turn.cloudflare.com', 'tls turn.cloudflare.com 5349'],
    ['turn:[2001:db8::1]', 'udp 2001:db8::1 3478'],
    ['turns:host?transport=udp', undefined],
    ['stun:host:3478', undefined],
    ['turn:', undefined],
  ])('A TURN URL is taken apart: %s', (url, expected) => {
    const address = parseTurnUrl(url)
    expect(address && `${address.transport} ${address.host} ${address.port}`).toBe(expected)
  })
})
