/** Random bodies at the doors: none is a 500, and what is taken is what a plain reader of the standard reads. */
import { expect, it } from 'vitest'
import { expectStatus, newBroker } from '../../support/broker/broker.ts'
import { clientToken, credentialsPath, iceServersPath, served, tenantPath } from '../../support/broker/doors.ts'
import { emulator } from '../../support/broker/upstream.ts'
import { bent, pick, randomForm, randomFrom, randomObject } from '../../support/contract/randomBodies.ts'
import { referenceForm, referenceJson } from '../../support/contract/referenceParsers.ts'

const CASES = 600
const MAX_DEPTH = 16
const FORM = 'application/x-www-form-urlencoded'
const TYPES = [FORM, 'application/json', 'text/plain;charset=UTF-8', 'nonsense'] as const
const NAMED = new Set(['access_token', 'ttl', 'username', 'service', 'customIdentifier'])

it('Random bodies at four doors are no 500, and a credential is minted only for what the body says', async () => {
  const broker = newBroker()
  const policy = { maxLiveCredentials: 100_000, maxMintsPerMinute: 100_000, maxLiveCredentialsPerSubject: 1_000 }
  const acme = await served(broker, 'acme', { policy: { ...policy, reuse: false } })
  const page = await clientToken(broker, acme)
  const doors = [
    { path: iceServersPath('acme'), token: page },
    { path: tenantPath('acme', 'turn-rest'), token: acme.token },
    { path: credentialsPath(acme.uid, 'generate'), token: acme.token },
    { path: credentialsPath(acme.uid, 'generate-ice-servers'), token: acme.token },
  ]
  const random = randomFrom(11)
  const wrong: string[] = []
  let taken = 0
  await emulator.clearLog()
  for (let round = 0; round < CASES; round++) {
    const { path, token } = pick(random, doors)
    const type = pick(random, TYPES)
    const isForm = type === FORM && !path.includes('/credentials/')
    const body = bent(random, isForm ? randomForm(random) : randomObject(random))
    const headers = { authorization: `Bearer ${token}`, 'content-type': type }
    const answer = await broker.send(path, { method: 'POST', headers, body })
    const shown = `${path} ${type} ${new TextDecoder().decode(body)}: ${answer.status} ${answer.text}`
    if (answer.status >= 500 || ![200, 201, 400, 415].includes(answer.status)) wrong.push(shown)
    if (answer.status >= 300) continue
    taken++
    const fields = isForm ? referenceForm(body) : referenceJson(body, MAX_DEPTH)?.json
    if (body.byteLength > 0 && fields === undefined) wrong.push(`${shown}, which is no body`)
    const said = new Map(fields instanceof Map ? fields : Object.entries(fields ?? {}))
    const ttl = Number(path.includes('turn-rest') ? 3_600 : (said.get('ttl') ?? 3_600))
    const minted = (await emulator.log('generate-ice-servers')).at(-1)?.body as { ttl: number } // the mint of this answer
    if (minted.ttl !== ttl) wrong.push(`${shown}, minted for ${minted.ttl} s`)
    const isUnknown = [...said.keys()].some((name) => !NAMED.has(name))
    if (isUnknown && !path.includes('/credentials/')) wrong.push(`${shown}, with an unknown field`)
  }
  expect(wrong.slice(0, 10)).toEqual([])
  expect(taken).toBeGreaterThan(CASES / 20)
  expectStatus(await broker.call('POST', credentialsPath(acme.uid, 'generate'), acme.token, {}), 201)
})
