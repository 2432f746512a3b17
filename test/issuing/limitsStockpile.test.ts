/** G8 over a day: a subject that asks all the time never holds more than its limit at once. */

import { expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { expectStatus } from '../support/broker/broker.ts'
import { HOUR_MS, MINUTE_MS, passTime } from '../support/broker/clock.ts'
import { runJobs } from '../support/storage/storage.ts'
import { APP, credentialRows, newIssuer, OTHER_APP, tally, usernameIn } from '../support/tenants/issuing.ts'

const LIMIT = 5
const STEP_MS = 30 * MINUTE_MS
/** Some two hundred requests one after the other, on a busy machine. */
const PATIENCE_MS = 60_000

it(
  'G8: A subject that stockpiles for 24 simulated hours at both doors never holds more than its limit',
  async () => {
    const acme = await newIssuer({ maxLiveCredentialsPerSubject: LIMIT, maxTtl: 28_800 })
    passTime(2 * MINUTE_MS)
    const ends = new Map<string, number>()
    const answers: Answer[] = []
    const tooMany: string[] = []
    const begun = Date.now()
    let token = ''
    for (let step = 0; Date.now() < begun + 24 * HOUR_MS; step++) {
      if (step % 2 === 0) token = await acme.clientToken('mallory')
      const ttl = 1_200 + ((step * 7_919) % 27_000)
      const now = Date.now()
      const asked = await Promise.all([
        acme.ice(token, { ttl }),
        acme.ice(token, { ttl: ttl + 1 }, { origin: APP }),
        acme.ice(token, { ttl: ttl + 2 }, { origin: OTHER_APP }),
        acme.generate({ customIdentifier: 'mallory', ttl }),
      ])
      for (const answer of asked) {
        const username = usernameIn(answer)
        if (username !== undefined) ends.set(username, Date.parse(answer.json.expiresAt ?? '') || now + ttl * 1_000)
      }
      answers.push(...asked)
      const held = [...ends.values()].filter((end) => end > now).length
      if (held > LIMIT) tooMany.push(`${held} after ${step} steps`)
      if (step % 4 === 3) await runJobs('acme')
      passTime(STEP_MS)
    }
    expect(tooMany).toEqual([])
    const { '201': served = 0, ...refused } = tally(answers)
    expect(Object.keys(refused).sort()).toEqual(['429 31019', '429 subject_limit'])
    expect(served).toBeGreaterThan(LIMIT)
    expect((await credentialRows()).length).toBeLessThanOrEqual(2 * LIMIT)
    const self = await acme.broker.call('GET', '/v1/tenants/acme', acme.token)
    expectStatus(self, 200)
    expect(self.json.counts.liveCredentials).toBeLessThanOrEqual(LIMIT)
  },
  PATIENCE_MS,
)
