// The routes that anyone may call: health probes.
import type { Operations } from '../operation.ts'

export const PUBLIC: Operations<'health' | 'ready'> = {
  health: {
    tag: 'Public',
    summary: 'Say that the Worker runs',
    description: 'A liveness probe. Answers without a look at the configuration or at any storage.',
    answers: { 200: { description: 'The Worker runs.', json: ['Health', 'health'] } },
  },
  ready: {
    tag: 'Public',
    summary: 'Say whether the broker can serve requests',
    description:
      'A readiness probe: the configuration is valid, the Account object answers, and every root key that is needed is configured. The answer is remembered for 10 seconds and does not reveal a reason.',
    answers: {
      200: { description: 'The broker can serve requests.', json: ['Readiness', 'ready'] },
      503: { description: 'The broker cannot serve requests.', json: ['Readiness', 'notReady'] },
    },
  },
}
