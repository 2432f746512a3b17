// The JavaScript of docs/browser.md that keeps a connection on its relay, executed word by word. What asks the broker is
// executed with the README.
import { describe, expect, it } from 'vitest'
import { answerWith, evaluate, FakePeer, type Page, pageCode } from './documentPage.ts'

const page = async () => (await evaluate(pageCode(), {})) as Page // what the page defines

describe('docs/browser.md', () => {
  it('Docs/browser.md moves a connection to each new credential, keeps it through an outage, and ends with it', async () => {
    const { keepRelay } = await page()
    const peer = new FakePeer(answerWith('first'))
    const answers = [answerWith('first'), undefined, answerWith('second'), answerWith('third')]
    const ask = async () => {
      const next = answers.shift()
      if (answers.length === 0) peer.connectionState = 'closed'
      if (!next) throw Object.assign(new Error('upstream_failed'), { retryAfter: 0.001 })
      return next
    }
    await keepRelay(peer, ask, answerWith('first'))
    expect(answers).toEqual([])
    expect(peer.restarts).toBe(1)
    expect(peer.configuration).toEqual({ ...answerWith('first'), iceServers: answerWith('second').iceServers })
  })

  it('Docs/browser.md leaves a connection on its relay while no other is to be had', async () => {
    const { keepRelay } = await page()
    const peer = new FakePeer(answerWith('first'))
    const stunOnly = { ...answerWith('none'), iceServers: [{ urls: ['stun:stun.test'] }], source: 'stun-only' as const }
    const answers = [stunOnly, stunOnly, answerWith('first'), stunOnly, answerWith('second'), answerWith('third')]
    const configured: unknown[] = []
    const ask = async () => {
      configured.push(peer.configuration)
      const next = answers.shift()
      if (!next) throw new Error('asked too often')
      if (answers.length === 0) peer.connectionState = 'closed'
      return next
    }
    await keepRelay(peer, ask, answerWith('first'))
    expect(peer.restarts).toBe(1)
    expect(configured.slice(0, 5)).toEqual(configured.slice(0, 5).map(() => answerWith('first')))
  })
})
