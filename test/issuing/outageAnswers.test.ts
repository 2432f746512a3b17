/** Upstream's answers to a mint: every valid variant is read, every other answer is a 502. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import type { FaultOrderInput, SettingsChange } from '../../emulator/client.ts'
import { Shape } from '../../emulator/faults/faults.ts'
import type { Answer } from '../support/broker/answer.ts'
import { newBroker } from '../support/broker/broker.ts'
import { passTime } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import {
  credentialRows,
  doorsOf,
  expectOutcome,
  type Issuer,
  newIssuer,
  usable,
  usernameIn,
} from '../support/tenants/issuing.ts'

afterEach(() => {
  vi.restoreAllMocks()
})

/** At both doors, an unusable answer hands out nothing and leaves nothing that could be handed out later. */
async function expectUseless(acme: Issuer): Promise<void> {
  expectOutcome(await acme.ice(await acme.clientToken()), '502 upstream_failed')
  const server = await acme.generate()
  expectOutcome(server, '502 31023')
  expect(usernameIn(server)).toBeUndefined()
  for (const row of await credentialRows())
    expect(row).toMatchObject({ sealed: null, state: expect.not.stringMatching('live') })
}

type Fault = FaultOrderInput['fault']
/** Not `foreign-uid`: a username that is not ours looks like any other, and its holder merely cannot use it. */
const shapes = Shape.exclude(['foreign-uid']).options
const faults: [string, Fault][] = [
  ...shapes.map((shape): [string, Fault] => [`of shape ${shape}`, { kind: 'shape', shape }]),
  ['of shape success-false with 201', { kind: 'shape', shape: 'success-false', status: 201 }],
  ['that is right but has status 302', { kind: 'status', status: 302, when: 'after' }],
  ['with half its JSON', { kind: 'truncate', by: 'json' }],
  ['cut short of its content length', { kind: 'truncate', by: 'content-length' }],
  ['that redirects elsewhere', { kind: 'redirect', location: '/v1/elsewhere' }],
  ['that echoes the secret', { kind: 'echo', status: 403 }],
]

describe('unusable answers of upstream', () => {
  it.each(faults)('An answer of upstream %s becomes a 502, and nothing is stored', async (_name, fault) => {
    const acme = await newIssuer()
    await emulator.fault({ operation: 'generate-ice-servers', fault, times: 'always' })
    await expectUseless(acme)
    expect(await credentialRows()).toEqual([])
  })
})

const USERNAME = 'u'.repeat(96)
const CREDENTIAL = 'c'.repeat(96)
const TURN = 'turn:turn.cloudflare.com:3478?transport=udp'
const STUN = 'stun:stun.cloudflare.com:3478'
const login = { username: USERNAME, credential: CREDENTIAL }

const lies: [string, unknown][] = [
  ['that is null', null],
  ['that is a list', [{ urls: [TURN], ...login }]],
  ['without servers', {}],
  ['with no server', { iceServers: [] }],
  ['with 17 servers', { iceServers: Array(17).fill({ urls: [TURN], ...login }) }],
  ['without URLs', { iceServers: login }],
  ['with an empty list of URLs', { iceServers: { urls: [], ...login } }],
  ['with 65 URLs', { iceServers: { urls: Array(65).fill(TURN), ...login } }],
  ['with a URL that is a number', { iceServers: { urls: [TURN, 1], ...login } }],
  ['without a login', { iceServers: [{ urls: [TURN] }] }],
  ['without a username', { iceServers: { urls: [TURN], credential: CREDENTIAL } }],
  ['with an empty username', { iceServers: { urls: [TURN], username: '', credential: CREDENTIAL } }],
  ['with a line break in the username', { iceServers: { urls: [TURN], ...login, username: 'a\nb' } }],
  ['with a space in the password', { iceServers: { urls: [TURN], ...login, credential: `${CREDENTIAL} c` } }],
  ['with a password of 1,025 characters', { iceServers: { urls: [TURN], ...login, credential: 'c'.repeat(1_025) } }],
  ['with a null password', { iceServers: { urls: [TURN], ...login, credential: null } }],
  [
    'with two logins',
    {
      iceServers: [
        { urls: [TURN], ...login },
        { urls: [TURN], ...login, username: 'another' },
      ],
    },
  ],
]
/** Well-formed but useless: the credential is recorded, then revoked. */
const useless: [string, unknown][] = [
  ['with STUN only', { iceServers: { urls: [STUN], ...login } }],
  ['with port 53 only', { iceServers: { urls: ['turn:turn.cloudflare.com:53?transport=udp'], ...login } }],
  ['with URLs of other schemes', { iceServers: { urls: ['https://turn.example', 'javascript:alert(1)'], ...login } }],
]

/** Answers every mint with this JSON, each time with another username. */
function answerWith(answer: unknown): void {
  const real = globalThis.fetch
  let turn = 0
  vi.spyOn(globalThis, 'fetch').mockImplementation(async (input, init) => {
    if (!String(input).endsWith('/generate-ice-servers')) return real(input, init)
    turn += 1
    return new Response(JSON.stringify(answer).replaceAll(USERNAME, `${USERNAME}${turn}`), { status: 201 })
  })
}

describe('unusable JSON from upstream', () => {
  it.each(lies)('JSON from upstream %s becomes a 502, and nothing is stored', async (_name, answer) => {
    const acme = await newIssuer()
    answerWith(answer)
    await expectUseless(acme)
    expect(await credentialRows()).toEqual([])
  })

  it.each(useless)('JSON from upstream %s becomes a 502, and the credential is revoked', async (_name, answer) => {
    const acme = await newIssuer()
    passTime(120_000)
    answerWith(answer)
    await expectUseless(acme)
    expect(await credentialRows()).toMatchObject([{ state: 'revoking' }, { state: 'revoking' }])
    await runJobs('acme')
    const asked = (await emulator.log('revoke')).map(({ path }) => path.split('/').at(-2))
    expect(asked).toEqual([`${USERNAME}1`, `${USERNAME}2`])
  })
})

const variants: SettingsChange[] = (['as-documented', 'array', 'object'] as const).flatMap((iceServers) =>
  (['array', 'string'] as const).flatMap((urls) =>
    (['split', 'joined'] as const).flatMap((entries) =>
      (['newest', 'port-53'] as const).map((urlGeneration) => ({ iceServers, urls, entries, urlGeneration })),
    ),
  ),
)
const FULL = [STUN, TURN, 'turn:turn.cloudflare.com:3478?transport=tcp', 'turns:turn.cloudflare.com:443?transport=tcp']

it('Every valid answer of upstream is read: object or array, one URL or many, one entry or two, both generations', async () => {
  const acme = await newIssuer({ reuse: false, maxLiveCredentialsPerSubject: 1_000 })
  const token = await acme.clientToken()
  const doors = doorsOf(newBroker(), acme)
  const given: string[] = []
  for (const variant of variants) {
    await emulator.settings(variant)
    const browser = await doors.ice(token)
    const server = await doors.generate()
    const expected = variant.iceServers === 'object' && variant.urls === 'string' ? [TURN] : FULL
    for (const answer of [browser, server]) {
      expectOutcome(answer, '201')
      expect(urlsIn(answer), JSON.stringify(variant)).toEqual(expected)
      given.push(String(usernameIn(answer)))
    }
    // The STUN entry has no login; the TURN entry has both parts.
    const turn = browser.json.iceServers.at(-1)
    expect(browser.json.iceServers).toEqual([
      ...(expected.length > 1 ? [{ urls: [STUN] }] : []),
      { urls: expected.filter((url) => url !== STUN), username: turn.username, credential: turn.credential },
    ])
  }
  expect((await usable()).sort()).toEqual(given.sort())
})

const urlsIn = ({ json }: Answer): string[] => [json.iceServers].flat().flatMap(({ urls }: { urls: string[] }) => urls)
