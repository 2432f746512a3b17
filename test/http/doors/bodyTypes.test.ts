/** Which content types each route takes, and where a body may be empty. What is refused gets a 415 that names what is taken. */
import { describe, expect, it } from 'vitest'
import { newBroker } from '../../support/broker/broker.ts'
import { shown } from '../../support/broker/contract.ts'
import { bodyTypesOf } from '../../support/broker/openapi.ts'
import { bodyTargets, EMPTY, mayBeEmpty, notRefused, sendTo, wasRead } from '../../support/contract/bodies.ts'

const TAKES_A_FORM = ['iceServers', 'turnRestCreate']
const FORM = { 'content-type': 'application/x-www-form-urlencoded' }
const WRONG_TYPES: [string, Record<string, string>][] = [
  ['text', { 'content-type': 'text/plain' }],
  ['a form', FORM],
  ['multipart', { 'content-type': 'multipart/form-data; boundary=x' }],
  ['nothing', { 'content-type': '' }],
  ['two types', { 'content-type': 'application/json, text/plain' }],
  ['JSON in Latin-1', { 'content-type': 'application/json; charset=iso-8859-1' }],
  ['JSON in UTF-16', { 'content-type': 'application/json; charset=utf-16' }],
  ['another JSON', { 'content-type': 'application/vnd.api+json' }],
  ['JSON with a suffix', { 'content-type': 'application/jsonp' }],
  ['compressed JSON', { 'content-encoding': 'gzip' }],
  ['JSON in an unknown coding', { 'content-encoding': 'x' }],
]

/** What two native routes take as JSON. */
const TAKEN_AS_JSON: Record<string, string[]> = { iceServers: ['text', 'nothing'], turnRestCreate: ['nothing'] }

describe('the type of a body', () => {
  it('A body may be empty at the paths of Cloudflare, at the browser door and at turn-rest', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    for (const target of (await bodyTargets(broker)).filter(mayBeEmpty)) {
      for (const [what, body] of EMPTY) {
        const answer = await sendTo(broker, target, body)
        if (!wasRead(answer)) wrong.push(`${target.name}, ${what}: ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('A bad body of another type or coding is a 415; at the paths of Cloudflare the type is ignored', async () => {
    const broker = newBroker()
    const wrong: string[] = []
    for (const target of await bodyTargets(broker)) {
      for (const [what, headers] of WRONG_TYPES) {
        const answer = await sendTo(broker, target, JSON.stringify(target.right), headers)
        const isTaken = TAKEN_AS_JSON[target.name]?.includes(what)
        if ('content-type' in headers && (!target.isNative || isTaken)) {
          if (!wasRead(answer)) wrong.push(`${target.name}, ${what}: ${shown(answer)}`)
          continue
        }
        // Both take forms: JSON in one is a field it does not know.
        const status = headers === FORM && TAKES_A_FORM.includes(target.name) ? 400 : 415
        wrong.push(...notRefused(target, what, answer, status))
      }
    }
    expect(wrong).toEqual([])
  })

  it('A body is taken in the content types that the OpenAPI document names for its route, and in no other', async () => {
    const broker = newBroker()
    const types = ['application/json', 'application/merge-patch+json', FORM['content-type'], 'text/plain', 'text/json']
    const taken: Record<string, string[]> = {}
    const documented: Record<string, string[]> = {}
    for (const target of await bodyTargets(broker)) {
      const named = bodyTypesOf(target.route.path, target.route.method)
      // At the paths of Cloudflare every type is taken as the one that is named.
      documented[target.name] = target.isNative ? named.sort() : types.toSorted()
      expect(target.isNative || named).toEqual(target.isNative || ['application/json'])
      const tried = types.map(async (type) => {
        const { status } = await sendTo(broker, target, '[', { 'content-type': type })
        return status === 415 ? [] : [type]
      })
      taken[target.name] = (await Promise.all(tried)).flat().sort()
    }
    expect(taken).toEqual(documented)
    expect(Object.values(documented).flat()).toContain('application/merge-patch+json')
  })
})
