/** Rotations that do not come to their end at once: a creation in doubt, a new key that does not mint. */

import { describe, expect, it } from 'vitest'
import type { FaultOrderInput } from '../../emulator/client.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { expectProblem } from '../support/broker/doors.ts'
import { expectNoRepeat } from '../support/broker/errors.ts'
import { countAsked, emulator, liveKeys } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import {
  expectAgreement,
  expectWorkingKey,
  newRotating,
  settle,
  states,
  unfinished,
} from '../support/tenants/rotating.ts'

const doubts: [string, FaultOrderInput['fault']][] = [
  ['a reset after it took effect', { kind: 'reset', at: 'after-body' }],
  ['500 after it took effect', { kind: 'status', status: 500, when: 'after' }],
  ['half an answer', { kind: 'truncate', by: 'json' }],
  ['no key in it', { kind: 'shape', shape: 'missing-key' }],
  ['HTML', { kind: 'shape', shape: 'html' }],
]

describe('a rotation whose creation', () => {
  it.each(doubts)(
    'A rotation whose creation is in doubt (%s) is told so, undone, and ends in the same final failure',
    async (_name, fault) => {
      const acme = await newRotating()
      await emulator.fault({ operation: 'create', fault })
      const answer = await acme.rotate({}, { key: 'once' })
      expectProblem(answer, 'outcome_unknown')
      expectNoRepeat(answer)
      await expectWorkingKey(acme)
      expectProblem(await acme.rotate({}, { key: 'once' }), 'outcome_unknown')
      passTime(2 * MINUTE_MS)
      await runJobs('acme')
      const final = await acme.rotate({}, { key: 'once' })
      expectProblem(final, 'upstream_failed')
      expectNoRepeat(final)
      expect(await states()).toEqual(['active', 'failed'])
      await expectAgreement()
      expectStatus(await acme.rotate({}, { key: 'twice' }), 201)
    },
  )

  it('A rotation whose creation is refused leaves the old key as it was', async () => {
    const acme = await newRotating()
    await emulator.fault({ operation: 'create', fault: { kind: 'status', status: 403 } })
    expectProblem(await acme.rotate({}, { key: 'once' }), 'upstream_failed')
    expectProblem(await acme.rotate({}, { key: 'once' }), 'upstream_failed')
    expect(await countAsked('create')).toBe(2)
    expect(await unfinished()).toEqual([])
    await expectWorkingKey(acme)
    await expectAgreement()
  })
})

describe('a new key that does not mint', () => {
  const refuse = (status: number) =>
    emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status }, times: 'always' })

  it.each([401, 403, 404, 500, 503])(
    'A new key that does not mint yet (%i) is proven by the job, and the old one mints until then',
    async (status) => {
      const acme = await newRotating()
      await refuse(status)
      const answer = await acme.rotate({}, { key: 'once' })
      expectProblem(answer, 'outcome_unknown')
      expectNoRepeat(answer)
      expect(await states()).toEqual(['active', 'creating'])
      expectProblem(await acme.rotate({}, { key: 'twice' }), 'conflict')
      await emulator.clearFaults()
      await expectWorkingKey(acme)
      passTime(MINUTE_MS)
      await runJobs('acme')
      expect(await states()).toEqual(['retiring', 'active'])
      const again = await acme.rotate({}, { key: 'once' })
      expectStatus(again, 201)
      expect(again.json.key.key).toMatch(/^.{64}$/)
      await expectWorkingKey(acme)
      await expectAgreement()
    },
  )

  it('A new key that does not mint at all is deleted again after a quarter of an hour, and the old one stays', async () => {
    const acme = await newRotating()
    await refuse(401)
    expectProblem(await acme.rotate({}, { key: 'once' }), 'outcome_unknown')
    await settle({ forMs: HOUR_MS })
    await emulator.clearFaults()
    const final = await acme.rotate({}, { key: 'once' })
    expectProblem(final, 'upstream_failed')
    expectNoRepeat(final)
    expect(await states()).toEqual(['active', 'deleted'])
    expect((await liveKeys()).map(({ uid }) => uid)).toEqual([acme.uid])
    await expectWorkingKey(acme)
    expectStatus(await acme.rotate({}, { key: 'twice' }), 201)
  })

  it('A new key that does not mint is proven at the second try of the same request', async () => {
    const acme = await newRotating()
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 403 }, times: 1 })
    expectStatus(await acme.rotate(), 201)
  })
})
