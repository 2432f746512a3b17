/** G12: a rotation that is interrupted anywhere goes on: no moment without a working key, no unreadable secret, no orphan. */

import { afterEach, describe, expect, it, vi } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { until } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { killObjects } from '../support/tenants/issuing.ts'
import {
  expectAgreement,
  expectWorkingKey,
  newRotating,
  type Rotating,
  settle,
  states,
  unfinished,
} from '../support/tenants/rotating.ts'

interface Point {
  /** Waits until the rotation, or its job, is there, and ends every object. */
  readonly crash: (acme: Rotating, body: object) => Promise<void>
  /** Whether the rotation comes about in the end; else it is undone. */
  readonly succeeds: boolean
}

const ignored = (work: Promise<Answer>) => void work.catch(() => undefined)

/** The rotation is asked, and its object dies while this operation is held. */
const whileHeld =
  (operation: 'create' | 'generate-ice-servers', when: 'before' | 'after'): Point['crash'] =>
  async (acme, body) => {
    await emulator.hold(operation, 'crash', { when })
    ignored(acme.rotate(body, { key: 'once' }))
    await emulator.untilHeld('crash')
    await killObjects()
    await emulator.release('crash')
  }

/** The object dies in the middle of something that it awaits and that is no request. */
const whileIn =
  (spied: () => { mockImplementationOnce: (work: () => Promise<never>) => unknown }): Point['crash'] =>
  async (acme, body) => {
    let reached = false
    spied().mockImplementationOnce(() => {
      reached = true
      return new Promise<never>(() => undefined)
    })
    ignored(acme.rotate(body, { key: 'once' }))
    // Looked for, not awaited: what the object itself resolves would be ended by its end.
    await until('the object is there', async () => reached)
    await killObjects()
    vi.restoreAllMocks()
  }

/** The rotation was answered, and the object dies while the old key's removal is held. */
const whileRemoving =
  (when: 'before' | 'after'): Point['crash'] =>
  async (acme, body) => {
    expect((await acme.rotate(body, { key: 'once' })).status).toBe(201)
    await emulator.hold('delete', 'crash', { when })
    const removing = (async () => {
      for (let round = 0; round < 3; round++) {
        await runJobs('acme').catch(() => undefined)
      }
    })()
    await emulator.untilHeld('crash')
    await killObjects()
    await emulator.release('crash')
    await removing
  }

const POINTS: Record<string, Point> = {
  'upstream is asked for the new key': { crash: whileHeld('create', 'before'), succeeds: false },
  'upstream has made the new key': { crash: whileHeld('create', 'after'), succeeds: false },
  'the new secret is sealed': { crash: whileIn(() => vi.spyOn(crypto.subtle, 'encrypt')), succeeds: false },
  'the new secret is opened for its proof': {
    crash: whileIn(() => vi.spyOn(crypto.subtle, 'decrypt')),
    succeeds: true,
  },
  'the proof is asked for': { crash: whileHeld('generate-ice-servers', 'before'), succeeds: true },
  'the proof is made': { crash: whileHeld('generate-ice-servers', 'after'), succeeds: true },
  'the keys were just switched': {
    crash: async (acme, body) => {
      ignored(acme.rotate(body, { key: 'once' }))
      await until('the new key is active', async () => (await states())[1] === 'active')
      await killObjects()
    },
    succeeds: true,
  },
  'the removal of the old key is asked for': { crash: whileRemoving('before'), succeeds: true },
  'the old key is removed upstream': { crash: whileRemoving('after'), succeeds: true },
}

const cells = Object.entries(POINTS).flatMap(([name, point]) =>
  [false, true].map((revoke) => ({ name, revoke, ...point })),
)

describe('G12: a rotation whose object dies', () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it.each(cells)(
    'G12: A rotation whose object dies while $name, revoke $revoke: leaves a working key at once, and ends well',
    async (cell) => {
      const acme = await newRotating()
      await cell.crash(acme, { revoke: cell.revoke })
      await expectWorkingKey(acme)

      for (let round = 0; round < 150 && (await unfinished()).length > 0; round++) {
        await settle({ forMs: 60_000 })
        await expectWorkingKey(acme)
      }
      expect(await unfinished()).toEqual([])
      await expectAgreement()
      const again = await acme.rotate({ revoke: cell.revoke }, { key: 'once' })
      if (cell.succeeds) {
        expect(again.status, again.text).toBe(201)
        expect(await states()).toEqual([expect.stringMatching(/^(retiring|deleted)$/), 'active'])
        await expectWorkingKey(acme, again.json.key.uid)
      } else {
        expect([again.status, again.headers.get('x-should-retry')], again.text).toEqual([502, 'false'])
        expect(await states()).toEqual(['active', 'failed'])
      }
      await expectWorkingKey(acme)
    },
  )
})
