// What `npm run dev` shows in the terminal: one line a request, and where coturn is missing the command that installs it.
import { describe, expect, it } from 'vitest'
import { installCoturn } from '../../../scripts/dev/coturn.ts'
import { nextSteps } from '../../../scripts/dev/nextSteps.ts'
import { parseOptions } from '../../../scripts/dev/options.ts'
import { requestLines } from '../../../scripts/dev/requestLines.ts'

const logged = (method: string, status: number, code: string | null = null) =>
  JSON.stringify({ level: 'info', event: 'request', requestId: 'r', method, route: 'x', status, code, ms: 3 })
const shownOf = (lines: string[], options = {}) => {
  const shown = requestLines(options)
  return lines.map(shown).filter((line) => line !== null)
}

describe('the terminal of npm run dev', () => {
  it('Npm run dev shows one line a request, with the code of an error', () => {
    const lines = [
      logged('POST', 201),
      '[wrangler:info] POST /v1/tenants/demo/ice-servers 201 Created (12ms)',
      logged('POST', 403, 'subject_banned'),
      logged('GET', 200),
      '[wrangler:info] GET /healthz 200 OK (5ms)',
      '\u001b[2m[wrangler:info]\u001b[22m POST /v1/tenants/demo/ice-servers 403 Forbidden (8ms)',
      '[wrangler:info] GET /openapi.json 200 OK (6ms)',
      `[wrangler:info] POST /v1/turn/keys/k/credentials/${'ab'.repeat(48)}/revoke 204 No Content (7ms)`,
    ]
    expect(shownOf(lines)).toEqual([
      '201 POST /v1/tenants/demo/ice-servers 12 ms',
      '200 GET /healthz 5 ms',
      '403 POST /v1/tenants/demo/ice-servers 8 ms subject_banned',
      '200 GET /openapi.json 6 ms',
      '204 POST /v1/turn/keys/k/credentials/abababab…/revoke 7 ms',
    ])
    expect(shownOf(lines, { quiet: true })).toEqual([])
  })

  it('Npm run dev shows what is no request, with --quiet too', () => {
    const failed = { level: 'error', event: 'job_failed', tenant: 'demo', job: 'revoke', attempt: 2 }
    const lines = ['✘ [ERROR] Could not resolve "hono"', JSON.stringify(failed), '', 'warning: NOSENTRY SQLite alarm']
    const expected = ['✘ [ERROR] Could not resolve "hono"', 'error job_failed tenant=demo job=revoke attempt=2']
    expect(shownOf(lines)).toEqual(expected)
    expect(shownOf(lines, { quiet: true })).toEqual(expected)
  })

  it('Npm run dev says without coturn that nothing relays, and how to install it', () => {
    const steps = { brokerUrl: 'b', emulatorUrl: 'e', demoUrl: 'd', tokenFile: 't' }
    const said = nextSteps({ ...steps, turnUrl: undefined })
    expect(said).toContain('coturn is not installed: nothing relays')
    expect(said).toContain(installCoturn() ?? '')
    expect([installCoturn('linux'), installCoturn('darwin'), installCoturn('win32')]).toEqual([
      'sudo apt-get install coturn',
      'brew install coturn',
      null,
    ])
    expect(nextSteps({ ...steps, turnUrl: 'turn:x' })).toContain('coturn relays at turn:x')
  })

  it('Npm run dev refuses an option that it does not know, and lists those that it knows', () => {
    const known = ['--port', '--emulator-port', '--demo-port', '--turn-port', '--state', '--quiet']
    for (const option of known) expect(() => parseOptions(['--prot', '1'])).toThrow(option)
    expect(parseOptions(['--quiet'])).toMatchObject({ port: 8787, turnPort: 8790, quiet: true })
    expect(() => parseOptions(['--turn-port', '0'])).toThrow('--turn-port must be a port')
  })
})
