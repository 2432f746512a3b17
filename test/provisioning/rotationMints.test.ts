/** G6: mints never pause for a rotation, and none that was under way hands out what the old key made. */

import { describe, expect, it, onTestFinished, vi } from 'vitest'
import { expectStatus } from '../support/broker/broker.ts'
import { MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { emulator } from '../support/broker/upstream.ts'
import { runJobs } from '../support/storage/storage.ts'
import { credentialRows, expectOutcome, tally, usable, usernameIn } from '../support/tenants/issuing.ts'
import { expectAgreement, newRotating, settle, states } from '../support/tenants/rotating.ts'

const PARALLEL = 200

/** Deadlines are not what is shown here: on a busy machine as many mints take longer than one may. */
function withoutDeadlines(): void {
  passTime(2 * MINUTE_MS)
  const { setTimeout: real } = globalThis
  const patient = (work: () => void, ms = 0) => real(work, ms >= 1_000 ? ms * 10 : ms)
  vi.spyOn(globalThis, 'setTimeout').mockImplementation(patient as typeof setTimeout) // all that is used of it
  onTestFinished(() => {
    vi.restoreAllMocks()
  })
}

describe.each([false, true])('G6: while mints are open upstream, their key is rotated (revoke: %s):', (revoke) => {
  it(`G6: ${PARALLEL} mints in flight at a rotation (revoke: ${revoke}) are all served, by the new key alone`, async () => {
    const acme = await newRotating()
    const before = usernameIn(await acme.mint())
    withoutDeadlines()
    // Its proof is held, so that the switch comes while the mints are open.
    await emulator.hold('generate-ice-servers', 'proof')
    const rotating = acme.rotate({ revoke })
    await emulator.untilHeld('proof')
    await emulator.hold('generate-ice-servers', 'mints', { uid: acme.uid, when: 'after', times: 'always' })
    const minting = Array.from({ length: PARALLEL }, () => acme.mint())
    // All are open at once: three over the object's connections, the rest over those of their callers.
    await emulator.untilHeld('mints', { count: PARALLEL })
    await emulator.release('proof')
    const rotated = await rotating
    expectStatus(rotated, 201)
    await emulator.clearFaults()
    await emulator.release('mints')
    const answers = await Promise.all(minting)
    expect(tally(answers)).toEqual({ '201': PARALLEL })

    const handedOut = answers.map((answer) => usernameIn(answer))
    expect(new Set(handedOut).size).toBe(PARALLEL)
    const rows = await credentialRows()
    for (const username of handedOut) {
      expect(rows.find((row) => row.username === username)).toMatchObject({
        key_uid: rotated.json.key.uid,
        state: 'live',
      })
    }
    const ofOld = rows.filter(({ key_uid, username }) => key_uid === acme.uid && username !== before)
    expect(ofOld.length).toBeGreaterThan(0)
    for (const row of ofOld) expect(row.state).toMatch(/^revok/)

    // A run of the job revokes fifty.
    for (let round = 0; round <= PARALLEL / 50; round++) {
      passTime(61_000)
      await runJobs('acme')
    }
    const relayed = await usable()
    for (const { username } of ofOld) expect(relayed).not.toContain(username)
    if (revoke) {
      await settle()
      expect(relayed).not.toContain(before)
      expect(await states()).toEqual(['deleted', 'active'])
      await expectAgreement()
    }
  }, 60_000)

  it(`G6: A browser whose mint is in flight at a rotation (revoke: ${revoke}) is served by the new key`, async () => {
    const acme = await newRotating()
    const token = await acme.clientToken()
    await emulator.hold('generate-ice-servers', 'mint', { uid: acme.uid, when: 'after' })
    const asked = [acme.ice(token), acme.ice(token)]
    await emulator.untilHeld('mint')
    const rotated = await acme.rotate({ revoke })
    await emulator.release('mint')
    for (const answer of await Promise.all(asked)) {
      expectStatus(answer, 201)
      const row = (await credentialRows()).find(({ username }) => username === usernameIn(answer))
      expect(row).toMatchObject({ key_uid: rotated.json.key.uid, state: 'live' })
    }
  })

  it(`G6: A mint in flight at a rotation (revoke: ${revoke}) is refused when its subject is banned meanwhile`, async () => {
    const acme = await newRotating()
    const token = await acme.clientToken()
    await emulator.hold('generate-ice-servers', 'mint', { uid: acme.uid, when: 'after' })
    const asked = acme.ice(token)
    await emulator.untilHeld('mint')
    expectStatus(await acme.rotate({ revoke }), 201)
    expectStatus(await acme.post('/bans', { subject: 'ann', until: '2100-01-01T00:00:00Z' }), 201)
    await emulator.release('mint')
    expectOutcome(await asked, '403 subject_banned')
  })
})

it('A limit of live credentials is kept over a rotation: each mint under way keeps its one place', async () => {
  const acme = await newRotating({ maxLiveCredentials: 3 })
  await emulator.hold('generate-ice-servers', 'mints', { uid: acme.uid, when: 'after', times: 'always' })
  const minting = [acme.mint(), acme.mint(), acme.mint()]
  await emulator.untilHeld('mints', { count: 3 })
  expectStatus(await acme.rotate(), 201)
  await emulator.clearFaults()
  await emulator.release('mints')
  expect(tally(await Promise.all(minting))).toEqual({ '201': 3 })
  expectOutcome(await acme.mint(), '429 31020')
})
