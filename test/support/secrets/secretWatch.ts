/** Watches for secrets: what is logged, what is answered and to whom, and the faults of upstream that could bring one up. */
import { env } from 'cloudflare:workers'
import { vi } from 'vitest'
import type { FaultOrderInput } from '../../../emulator/client.ts'
import type { Answer } from '../broker/answer.ts'
import type { Broker } from '../broker/broker.ts'
import { leaks, type Secret } from './secrets.ts'

const [, rootKey = ''] = env.ROOT_KEYS.split(':')
export const STANDING: Secret[] = [
  { name: 'the account token', value: env.CALLS_API_TOKEN },
  { name: 'the admin token', value: env.ADMIN_TOKEN },
  { name: 'the root key', value: atob(rootKey) },
  { name: 'the root key as configured', value: rootKey },
]

const LEVELS = ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const

/** Everything that is logged from here on. */
export function watchLogs(): () => string {
  const spies = LEVELS.map((level) => vi.spyOn(console, level).mockImplementation(() => undefined))
  const texts = (it: unknown) => (it instanceof Error ? `${it.stack} ${it.message} ${it.cause}` : JSON.stringify(it))
  return () => spies.flatMap(({ mock }) => mock.calls.flat().map(texts)).join('\n')
}

interface Kept {
  readonly what: string
  readonly text: string
  /** The secrets that this answer is there to show: what it was asked to make. */
  readonly mayShow: readonly string[]
}

/** Tokens, key secrets and passwords that an answer shows in their places. */
function shownIn({ json }: Answer): string[] {
  const servers: { credential?: string }[] = [json?.iceServers ?? []].flat()
  const passwords = [json?.password, ...servers.map(({ credential }) => credential)]
  return [json?.token, json?.result?.key, ...passwords].filter((secret) => secret !== undefined).map(String)
}

/** A broker whose answers are kept, each with the secrets it may show. */
export function recorded(inner: Broker) {
  const answers: Kept[] = []
  const keep = (what: string, answer: Answer, mayShow: string[]) =>
    answers.push({ what, text: answer.text + JSON.stringify([...answer.headers]), mayShow })
  const call: Broker['call'] = async (method, path, ...rest) => {
    const answer = await inner.call(method, path, ...rest)
    keep(`${method} ${path.split('?')[0]}`, answer, [])
    return answer
  }
  /** For the answers that show a secret: a token made or rolled, a key for a token that may see it, a credential. */
  const make: Broker['call'] = async (...args) => {
    const answer = await inner.call(...args)
    keep(`${args[0]} ${args[1].split('?')[0]}`, answer, shownIn(answer))
    return answer
  }
  return { call, make, answers }
}

/** Secrets in answers that were not asked to make them. */
export function leaksIn(answers: readonly Kept[], secrets: readonly Secret[]): string[] {
  // What it made may stand in it; whatever else is there is a leak.
  const rest = answers.map(({ what, text, mayShow }) => ({
    what,
    text: mayShow.reduce((left, secret) => left.replaceAll(secret, ''), text),
  }))
  if (leaks(rest.map(({ text }) => text).join('\n'), secrets).length === 0) return []
  return rest.flatMap(({ what, text }) => leaks(text, secrets).map((leak) => `${what}: ${leak}`))
}

export const FAULTS: FaultOrderInput['fault'][] = [
  { kind: 'echo', status: 401 },
  { kind: 'echo', status: 403 },
  { kind: 'status', status: 500, body: 'html' },
  { kind: 'status', status: 404 },
  { kind: 'redirect', location: `https://evil.test/?token=${env.CALLS_API_TOKEN}` },
  { kind: 'rate-limit' },
  { kind: 'shape', shape: 'wrong-types' },
  { kind: 'shape', shape: 'foreign-uid' },
  { kind: 'shape', shape: 'missing-key' },
  { kind: 'shape', shape: 'wrong-result' },
  { kind: 'truncate', by: 'json' },
  { kind: 'reset', at: 'mid-response' },
]
