// The examples of the browser library, executed word by word.
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { textOf } from '../docs/repository.ts'
import { FakeConnection, pass } from './fakeConnection.ts'
import { answer, load, told } from './servedLibrary.ts'

const MINUTE_MS = 60_000
const DOOR = 'https://turn.example.com/v1/tenants/acme/ice-servers'

beforeEach(() => {
  told.answers = 0
  FakeConnection.all = []
  vi.useFakeTimers()
  vi.stubGlobal('RTCPeerConnection', FakeConnection)
})
afterEach(() => {
  vi.unstubAllGlobals()
  vi.useRealTimers()
})

describe('the example of a page', () => {
  const [, script = ''] = /<script type="module">([\s\S]*?)<\/script>/.exec(textOf('examples/browser.html')) ?? []

  it('The example of a page talks through the relay, and moves it when the credential is renewed', async () => {
    const shown = new Map<string, { textContent: string }>()
    const element = (id: string) => shown.get(id) ?? shown.set(id, { textContent: '' }).get(id)
    vi.stubGlobal('document', Object.assign(new EventTarget(), { getElementById: element }))
    const asked: string[] = []
    vi.stubGlobal('fetch', async (url: string, { body }: { body?: unknown }) => {
      asked.push(`${url} ${body === undefined ? '' : String(body)}`.trim())
      return url === '/turn-token' ? Response.json({ token: 'of-the-back-end' }) : answer()
    })

    const loaded = load('page.mjs', script)
    await vi.waitFor(() => expect(element('heard')?.textContent).toBe('Hello through the relay'))
    await loaded
    expect(asked).toEqual(['/turn-token', `${DOOR} access_token=of-the-back-end`])
    expect(element('state')?.textContent).toMatch(/^minted, valid until /)

    await pass(5 * MINUTE_MS)
    expect(told.answers).toBe(2)
    const [caller, callee] = FakeConnection.all
    expect([caller?.restarts, callee?.restarts]).toEqual([1, 0])
    expect([caller?.gathered, callee?.gathered]).toEqual([
      ['user-1', 'user-2'],
      ['user-1', 'user-2'],
    ])
    expect(FakeConnection.all.map(({ configuration }) => configuration)).toMatchObject([
      { iceTransportPolicy: 'relay' },
      { iceTransportPolicy: 'relay' },
    ])
    for (const each of FakeConnection.all) each.close()
  })
})

describe('the example of perfect negotiation', () => {
  interface Side {
    pc: FakeConnection
    hangUp: () => void
  }
  interface Example {
    startCall: (side: object) => Promise<Side>
  }

  /** Two ends of a channel. What is sent is heard a little later. */
  function newSignaling() {
    const ends = [{ onmessage: null }, { onmessage: null }] as { onmessage: ((message: unknown) => void) | null }[]
    return ends.map((end, at) =>
      Object.assign(end, { send: (message: unknown) => queueMicrotask(() => ends[1 - at]?.onmessage?.(message)) }),
    )
  }

  async function startBoth(fetch: (nth: number) => Promise<Response>) {
    let asked = 0
    vi.stubGlobal('fetch', () => fetch(++asked))
    const { startCall } = (await load('perfect.mjs', textOf('examples/perfectNegotiation.mjs'))) as Example // its entry
    const ends = newSignaling()
    const side = (polite: boolean) =>
      startCall({ signaling: ends[polite ? 1 : 0], polite, url: DOOR, getToken: async () => 'token' })
    const [impolite, polite] = await Promise.all([side(false), side(true)])
    return { impolite, polite }
  }

  it('The example of perfect negotiation places a call, moves it at each renewal from one side, and hangs up', async () => {
    const { impolite, polite } = await startBoth(async () => answer())
    const heard: string[] = []
    polite.pc.ondatachannel = ({ channel }: { channel: { onmessage: unknown } }) => {
      channel.onmessage = ({ data }: { data: string }) => heard.push(data)
    }
    const channel = impolite.pc.createDataChannel()
    channel.onopen = () => channel.send('hello')
    await vi.waitFor(() => expect(heard).toEqual(['hello']))

    await pass(5 * MINUTE_MS)
    expect([impolite.pc.restarts, polite.pc.restarts]).toEqual([1, 0])
    expect(impolite.pc.gathered).toHaveLength(2)
    expect(polite.pc.gathered).toHaveLength(2)
    expect(new Set([...impolite.pc.gathered, ...polite.pc.gathered]).size).toBeGreaterThanOrEqual(3)
    channel.send('still there')
    expect(heard).toEqual(['hello', 'still there'])

    for (const { hangUp } of [impolite, polite]) hangUp()
    expect(vi.getTimerCount()).toBe(0)
    expect(FakeConnection.all.map(({ signalingState }) => signalingState)).toEqual(['closed', 'closed'])
  })

  it('The example of perfect negotiation loses nothing of what the other side says before this one has its ICE servers', async () => {
    vi.stubGlobal(
      'RTCPeerConnection',
      class extends FakeConnection {
        constructor(configuration = {}) {
          super(configuration)
          // The first to be ready offers at once.
          if (FakeConnection.all.length === 1) queueMicrotask(() => this.createDataChannel())
        }
      },
    )
    const later = () => new Promise<Response>((resolve) => setTimeout(() => resolve(answer()), 5_000))
    const both = startBoth((nth) => (nth === 1 ? Promise.resolve(answer()) : later()))
    await vi.waitFor(() => expect(FakeConnection.all).toHaveLength(1))
    await pass(6_000)
    const { impolite, polite } = await both
    expect([impolite.pc.iceConnectionState, polite.pc.iceConnectionState]).toEqual(['connected', 'connected'])
    for (const { hangUp } of [impolite, polite]) hangUp()
  })

  it('The example of perfect negotiation takes an offer that comes while it takes an answer', async () => {
    const { impolite, polite } = await startBoth(async () => answer())
    // As in browsers: one description after the other, and each takes its time.
    const { pc } = impolite
    const taken: string[] = []
    let goOn = () => {}
    let last = new Promise<void>((resolve) => {
      goOn = resolve
    })
    pc.setRemoteDescription = (description) => {
      last = last
        .then(() => FakeConnection.prototype.setRemoteDescription.call(pc, description))
        .then(() => void taken.push(description.type))
      return last
    }
    pc.createDataChannel()
    await vi.waitFor(() => expect(polite.pc.localDescription?.type).toBe('answer'))
    polite.pc.restartIce()
    await vi.waitFor(() => expect(polite.pc.localDescription?.type).toBe('offer'))
    await pass(1_000)
    expect([pc.signalingState, taken]).toEqual(['have-local-offer', []])
    goOn()
    await vi.waitFor(() => expect(taken).toEqual(['answer', 'offer']))
    expect(polite.pc.signalingState).toBe('stable')
    for (const { hangUp } of [impolite, polite]) hangUp()
  })

  it('The example of perfect negotiation begins without a relay when there is none to be had', async () => {
    const told = ['error', 'warn'].map((level) =>
      vi.spyOn(console, level as 'error').mockImplementation(() => undefined),
    )
    const { impolite, polite } = await startBoth(() => Promise.reject(new Error('no network')))
    expect(FakeConnection.all).toHaveLength(2)
    expect(told[0]).toHaveBeenCalledWith('no relay (network)')
    for (const { hangUp } of [impolite, polite]) hangUp()
    for (const spy of told) spy.mockRestore()
  })
})
