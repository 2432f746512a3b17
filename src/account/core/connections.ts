/**
 * The object's connections that wait for the headers of an answer; a Durable Object has six. The Account asks Cloudflare for one
 * thing, the list of TURN keys, and puts one thing into KV, the check keys of API tokens: it uses two of the six.
 */
import { Semaphore } from '../../concurrency/semaphore.ts'

const LISTS_AT_ONCE = 1
const LISTS_QUEUED = 16

/** One for each object, built when it starts. */
export const newListConnection = (): Semaphore => new Semaphore(LISTS_AT_ONCE, LISTS_QUEUED)
