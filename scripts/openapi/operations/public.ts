// The routes that anyone may call: health probes and the browser library.
import type { Operations } from '../operation.ts'

const LIBRARY_HEADERS = ['ETag', 'Access-Control-Allow-Origin', 'Cross-Origin-Resource-Policy'] as const
const LIBRARY = {
  200: { description: 'The library.', headers: LIBRARY_HEADERS, script: true },
  304: { description: 'The caller has this version already.', headers: LIBRARY_HEADERS },
} as const

export const PUBLIC: Operations<'health' | 'ready' | 'clientScript' | 'clientScriptVersion'> = {
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
  clientScript: {
    tag: 'Public',
    summary: 'Get the browser library',
    description: 'An ES module, the newest version. May be cached for an hour.',
    headers: ['If-None-Match'],
    answers: LIBRARY,
  },
  clientScriptVersion: {
    tag: 'Public',
    summary: 'Get one version of the browser library',
    description:
      'An ES module under an address that never changes its content, for use with `integrity`. May be cached for a year. Only the version that is deployed is served.',
    headers: ['If-None-Match'],
    answers: LIBRARY,
  },
}
