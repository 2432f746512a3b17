/**
 * Has the mints of a tenant go over the connections of their callers, through the broker's own code: the slots that the object keeps
 * for mints are taken by operations that never end. Counts the lent calls, and plays callers who hang up.
 */
import { runInDurableObject } from 'cloudflare:test'
import { vi } from 'vitest'
import type { SendMint } from '../../../src/cloudflare/mintCall.ts'
import { Semaphore } from '../../../src/concurrency/semaphore.ts'
import { Tenant } from '../../../src/tenant/tenant.ts'
import { tenantStub } from '../storage/tenantRows.ts'
import type { FaultRow } from './faultTable.ts'

const crowded = new WeakSet<object>()
const never = () => new Promise<never>(() => undefined)

/**
 * Takes every mint slot of a tenant's object, once in its life. `mint` has to ask the tenant for a credential: the slots are those
 * that this mint asks for.
 */
export async function takeMintSlots(tenant: string, mint: () => Promise<unknown>): Promise<void> {
  const isTaken = await runInDurableObject(tenantStub(tenant), (instance: Tenant) => {
    const known = crowded.has(instance)
    crowded.add(instance)
    return known
  })
  if (isTaken) return
  const read = Object.getOwnPropertyDescriptor(Semaphore.prototype, 'free')?.get
  if (!read) throw new Error('Semaphore.free is no getter')
  const spy = vi.spyOn(Semaphore.prototype, 'free', 'get').mockImplementation(function (this: Semaphore) {
    for (let left: number = read.call(this); left > 0; left--) void this.run(0, never)
    return read.call(this)
  })
  await mint().finally(() => spy.mockRestore())
}

/** Counts the calls over lent connections while `act` runs, and plays the callers who hang up. */
export async function countingLent<T>(
  fault: FaultRow['fault'],
  act: () => Promise<T>,
): Promise<{ readonly value: T; readonly lent: number }> {
  let lent = 0
  const { issue } = Tenant.prototype
  Tenant.prototype.issue = function counting(request, lend) {
    const counted: SendMint = async (call) => {
      lent++
      if (fault === 'hang-up before' || !lend) throw new Error('the caller is gone')
      const answer = await lend(call)
      if (fault === 'hang-up after') throw new Error('the caller is gone')
      return answer
    }
    return issue.call(this, request, lend ? counted : null)
  }
  try {
    return { value: await act(), lent }
  } finally {
    Tenant.prototype.issue = issue
  }
}
