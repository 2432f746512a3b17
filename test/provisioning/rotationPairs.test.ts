/** Two operations on one TURN key at a time, in both orders, also when the object dies in the first: one story, no orphan. */

import { describe, expect, it } from 'vitest'
import type { Operation } from '../../emulator/client.ts'
import type { Answer } from '../support/broker/answer.ts'
import { keysPath } from '../support/broker/broker.ts'
import { outcomeOf } from '../support/broker/contract.ts'
import { emulator, liveKeys } from '../support/broker/upstream.ts'
import { keyRows } from '../support/storage/tenantRows.ts'
import { killObjects } from '../support/tenants/issuing.ts'
import { expectAgreement, newRotating, type Rotating, settle, states, unfinished } from '../support/tenants/rotating.ts'

interface Act {
  readonly does: (acme: Rotating) => Promise<Answer>
  /** What it asks of upstream first. */
  readonly asks: Operation
}

const ACTS = {
  rename: { does: (acme) => acme.rename('renamed'), asks: 'update' },
  delete: { does: (acme) => acme.remove(), asks: 'delete' },
  rotate: { does: (acme) => acme.rotate({}, { key: 'first' }), asks: 'create' },
  'rotate with revocation': { does: (acme) => acme.rotate({ revoke: true }, { key: 'first' }), asks: 'create' },
} satisfies Record<string, Act>
type Name = keyof typeof ACTS
const NAMES = Object.keys(ACTS) as Name[]

const isRotation = (name: Name) => name.startsWith('rotate')
const pairs = NAMES.flatMap((first) => NAMES.map((second) => ({ first, second }))).filter(
  ({ first, second }) => isRotation(first) || isRotation(second),
)

/** What must be true when all is done, whichever of the two won. */
async function expectOneStory(acme: Rotating, { first, second }: { first: Name; second: Name }): Promise<void> {
  await settle({ forMs: 26 * 3_600_000 })
  expect(await unfinished()).toEqual([])
  await expectAgreement()
  const names = [first, second]
  const keys = (await keyRows('acme')).filter(({ state }) => state === 'active')
  // Deleted, nothing of it mints; else one key does, for whoever names the old one too.
  if (names.includes('delete')) return expect(keys.length).toBeLessThanOrEqual(1)
  expect(keys).toHaveLength(1)
  expect((await acme.mint()).status).toBe(201)
}

describe('two operations on one key', () => {
  it.each(pairs)(
    'Two operations on one key $first, and $second while it is open upstream',
    async ({ first, second }) => {
      const acme = await newRotating()
      expect((await acme.mint()).status).toBe(201)
      await emulator.hold(ACTS[first].asks, 'first')
      const one = ACTS[first].does(acme)
      await emulator.untilHeld('first')
      const two = isRotation(first) && isRotation(second) ? acme.rotate({}, { key: 'second' }) : ACTS[second].does(acme)
      // What waits for the first is let go with it; what does not is answered before.
      await Promise.race([two, new Promise((resolve) => setTimeout(resolve, 300))])
      await emulator.release('first')
      const [a, b] = [outcomeOf(await one), outcomeOf(await two)]
      await expectOneStory(acme, { first, second })

      if (first === 'delete') expect([a, b]).toEqual(['200', '404 not_found'])
      else if (second === 'delete') {
        // The rotation finds nothing to replace, and takes its own key back.
        expect([a, b]).toEqual(['409 conflict', '200'])
        expect(await liveKeys()).toEqual([])
      } else if (first === 'rename' || second === 'rename') {
        // The old key may be gone before its own rename is answered: its successor has the name.
        const renamed = [first, second].includes('rotate with revocation') ? /^(200|404 20008)$/ : /^200$/
        expect(first === 'rename' ? a : b).toMatch(renamed)
        expect(first === 'rename' ? b : a).toBe('201')
        const [key] = (await keyRows('acme')).filter(({ state }) => state === 'active')
        expect(key).toMatchObject({ name: 'renamed', pending_name: null })
        const name = (await liveKeys()).find(({ uid }) => uid === key?.uid)?.name
        expect(name).toMatch(/ renamed$/)
      } else expect([a, b]).toEqual(['201', '409 conflict'])
    },
  )

  it.each(pairs)('Two operations on one key $first dies in the middle, then $second', async ({ first, second }) => {
    const acme = await newRotating()
    await emulator.hold(ACTS[first].asks, 'first', { when: 'after' })
    void ACTS[first].does(acme).catch(() => undefined)
    await emulator.untilHeld('first')
    await killObjects()
    await emulator.release('first')
    const two =
      isRotation(first) && isRotation(second) ? await acme.rotate({}, { key: 'second' }) : await ACTS[second].does(acme)
    expect(two.status, two.text).toBeLessThan(500)
    await expectOneStory(acme, { first, second })
  })
})

describe('the two keys of a rotation', () => {
  it('The two keys of a rotation are deleted each by itself afterwards', async () => {
    const acme = await newRotating()
    const { key } = (await acme.rotate()).json
    expect((await acme.remove()).status).toBe(200)
    expect((await acme.mint()).status).toBe(201)
    expect((await acme.broker.call('DELETE', keysPath('acme', key.uid), acme.token)).status).toBe(200)
    expect(await states()).toEqual(['deleted', 'deleted'])
    await settle()
    await expectAgreement()
  })

  it('The two keys of a rotation go with their tenant, also while the new one is not proven yet', async () => {
    const acme = await newRotating()
    await emulator.fault({ operation: 'generate-ice-servers', fault: { kind: 'status', status: 403 }, times: 'always' })
    expect((await acme.rotate()).status).toBe(504)
    expect((await acme.broker.admin('DELETE', '/tenants/acme?cascade=true')).status).toBe(202)
    await settle({ forMs: 600_000 }).catch(() => undefined)
    expect(await liveKeys()).toEqual([])
    expect((await acme.broker.admin('GET', '/tenants/acme')).status).toBe(404)
  })
})
