// One run, two projects side by side: `workerd` (the Worker in the real runtime) and `node` (what only Node can see: the
// emulator, the official SDK, the commands of the README). No test reaches the network: workerd may speak to loopback only.
import { availableParallelism } from 'node:os'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { quietWorkerd } from './scripts/quiet-workerd.ts'
import { closeEmulators, freshBindings } from './test/node/workerdEmulators.ts'

quietWorkerd()

// wrangler.toml lists these as required; the values in use come from test/node/workerdEmulators.ts.
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

export default defineConfig({
  test: {
    reporters: ['default', './scripts/plain-summary.ts'],
    silent: 'passed-only', // the broker logs every request: shown where a test fails
    // Many tests wait for a deadline or a program: more of them than processors keep a small machine busy.
    maxWorkers: Math.max(3, availableParallelism() - 1),
    projects: [
      {
        plugins: [
          cloudflareTest(async () => ({
            wrangler: { configPath: './wrangler.toml' },
            remoteBindings: false,
            miniflare: {
              bindings: { ...(await freshBindings()), DEPLOYMENT: 'test' },
              ratelimits: {
                RATE_IP: { namespace_id: '1001', simple: outOfTheWay },
                RATE_TENANT: { namespace_id: '1002', simple: outOfTheWay },
                RATE_SUBJECT: { namespace_id: '1003', simple: outOfTheWay },
              },
              outboundService: 'loopback-only',
              workers: [loopbackOnly],
            },
          })),
          { name: 'close-emulators', configureVitest: ({ vitest }) => vitest.onClose(closeEmulators) },
        ],
        test: {
          name: 'workerd',
          include: ['test/*.test.ts'],
          setupFiles: ['./test/setup.ts'],
          isolate: false,
          testTimeout: 20_000,
          hookTimeout: 20_000,
        },
      },
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
