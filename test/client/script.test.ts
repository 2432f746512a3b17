/** The browser library as the broker serves it: to every page, cached well, and exactly what its digest says. */

import { describe, expect, it } from 'vitest'
import { CLIENT_SCRIPT } from '../../src/http/routes/browser/clientScript.ts'
import type { Answer } from '../support/broker/answer.ts'
import { newBroker } from '../support/broker/broker.ts'
import { expectProblem } from '../support/broker/doors.ts'

const [, digest = ''] = CLIENT_SCRIPT.integrity.split('sha384-')
const VERSIONED = `/client/${CLIENT_SCRIPT.version}.js`

describe('the script', () => {
  it.each([
    ['/client.js', 'public, max-age=3600'],
    [VERSIONED, 'public, max-age=31536000, immutable'],
  ])('The script at %s is for every page, with %s', async (path, cacheControl) => {
    const { status, text, headers } = await newBroker().send(path, { headers: { origin: 'https://anybody.example' } })
    expect(status).toBe(200)
    expect(await sha384(text)).toBe(digest)
    expect(Object.fromEntries(headers)).toMatchObject({
      'access-control-allow-origin': '*',
      'cache-control': cacheControl,
      'content-type': 'text/javascript; charset=utf-8',
      'cross-origin-resource-policy': 'cross-origin',
      etag: expect.stringMatching(/^"[^"]+"$/),
      'x-content-type-options': 'nosniff',
    })
    expect(headers.get('vary')).toBeNull()
  })

  it('The script has the digest that pages pin it with', async () => {
    for (const path of ['/client.js', VERSIONED]) {
      const { text, headers } = await newBroker().send(path)
      expect([await sha384(text), headers.get('etag')]).toEqual([digest, `"${CLIENT_SCRIPT.integrity}"`])
    }
  })

  it('The script has an address of its own bytes: for good, it must never lead to others', async () => {
    const start = Uint8Array.fromBase64(digest).slice(0, 4).toHex()
    expect(CLIENT_SCRIPT.version).toMatch(new RegExp(`^\\d+\\.\\d+\\.\\d+-${start}$`))
  })

  it('The script is not sent again to who has it', async () => {
    const broker = newBroker()
    const etag = (await broker.send('/client.js')).headers.get('etag') ?? ''
    for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
      const answer = await broker.send('/client.js', { headers: { 'if-none-match': known } })
      expect([answer.status, answer.text, answer.headers.get('etag')]).toEqual([304, '', etag])
      expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    }
    for (const other of ['"other"', etag.slice(1, -1), '']) {
      const answer = await broker.send('/client.js', { headers: { 'if-none-match': other } })
      expect(answer.status).toBe(200)
    }
  })

  it.each([
    '/client/0.0.0.js',
    `/client/${CLIENT_SCRIPT.version}`,
    `${VERSIONED}.map`,
    '/client/latest.js',
    '/client/x',
  ])('The script at %s is not there, and a page can read that', async (path) => {
    const answer = await newBroker().send(path)
    expectProblem(answer, 'not_found')
    expect(answer.headers.get('cache-control')).toBe('no-store')
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  })

  it('The script is there while the broker is not configured: a page must be able to say that something is wrong', async () => {
    const broker = newBroker({ ROOT_KEYS: undefined })
    expect((await broker.send('/client.js')).status).toBe(200)
  })

  it('The script has the same headers for HEAD, and no body', async () => {
    const broker = newBroker()
    const [whole, head] = [await broker.send(VERSIONED), await broker.send(VERSIONED, { method: 'HEAD' })]
    const shown = ({ headers }: Answer) => [...headers].filter(([name]) => name !== 'x-request-id')
    expect([head.status, head.text, shown(head)]).toEqual([200, '', shown(whole)])
  })

  it('The script that was not deployed along is an error that no cache keeps', async () => {
    const ASSETS = { fetch: async () => new Response('gone', { status: 404 }) }
    const answer = await newBroker({ ASSETS }).send(VERSIONED)
    expectProblem(answer, 'internal')
    expect(answer.headers.get('cache-control')).toBe('no-store')
  })
})

async function sha384(text: string): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest('SHA-384', new TextEncoder().encode(text))).toBase64()
}
