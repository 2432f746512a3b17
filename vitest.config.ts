// One run, three projects: twice `workerd` (the Worker in the real runtime) and `node` (what only Node can
// see: the emulator, the official SDK, the commands of the README). No test reaches the network: workerd may speak to
// loopback only.
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { quietWorkerd } from './scripts/quiet-workerd.ts'

quietWorkerd()

// wrangler.toml lists these as required; the values in use come from test/node/globalEmulator.ts.
process.env.CALLS_API_TOKEN = 'set-per-run'
process.env.ROOT_KEYS = 'set-per-run'

// Far above what a test can reach; a test of the rates asks for its own limiter.
const outOfTheWay = { limit: 1_000_000, period: 60 } as const

// All that the Worker under test sends goes through this Worker, whose only way out is a real socket to this machine.
const loopbackOnly = {
  name: 'loopback-only',
  compatibilityDate: '2026-10-01',
  modules: true,
  script: 'export default { fetch: (request, env) => env.LOOPBACK.fetch(request) }',
  serviceBindings: { LOOPBACK: { network: { allow: ['127.0.0.1/32'] } } },
}

/**
 * Half of the tests in workerd. The files of one half run one after the other, because they share storage and an emulator;
 * the halves run side by side, each with its own.
 */
const inWorkerd = (name: string, include: string[]) => ({
  plugins: [
    cloudflareTest(({ inject }) => {
      const { emulatorUrl, secrets } = inject('broker')
      return {
        wrangler: { configPath: './wrangler.toml' },
        remoteBindings: false,
        miniflare: {
          bindings: {
            ...secrets,
            DEPLOYMENT: 'test',
            CLOUDFLARE_API_URL: `${emulatorUrl}/client/v4`,
            CLOUDFLARE_RTC_URL: `${emulatorUrl}/v1`,
            EMULATOR_URL: emulatorUrl,
          },
          ratelimits: {
            RATE_IP: { namespace_id: '1001', simple: outOfTheWay },
            RATE_TENANT: { namespace_id: '1002', simple: outOfTheWay },
            RATE_SUBJECT: { namespace_id: '1003', simple: outOfTheWay },
          },
          outboundService: 'loopback-only',
          workers: [loopbackOnly],
        },
      }
    }),
  ],
  test: {
    name,
    include,
    exclude: ['test/node/**'],
    globalSetup: ['./test/node/globalEmulator.ts'],
    setupFiles: ['./test/setup.ts'],
    isolate: false,
    fileParallelism: false,
    testTimeout: 20_000,
    hookTimeout: 20_000,
  },
})

export default defineConfig({
  test: {
    reporters: ['default', './scripts/plain-summary.ts'],
    silent: 'passed-only', // the broker logs every request: shown where a test fails
    projects: [
      inWorkerd('workerd a-h', ['test/[a-h]*.test.ts']),
      inWorkerd('workerd i-z', ['test/[i-z]*.test.ts']),
      {
        test: {
          name: 'node',
          include: ['test/node/**/*.test.ts'],
          environment: 'node',
          testTimeout: 60_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
})
