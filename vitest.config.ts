// One run, two projects side by side: `workerd` (the Worker in the real runtime) and `node` (what only Node can see: the
// emulator, the official SDK, the commands of the README). No test reaches the network: workerd may speak to loopback only.
import { availableParallelism } from 'node:os'
import { cloudflareTest } from '@cloudflare/vitest-plugin'
import { defineConfig } from 'vitest/config'
import { crashPoints } from './scripts/crash-points.ts'
import { keepFilesInMemory } from './scripts/files-in-memory.ts'
import { LongestFirst } from './scripts/longest-first.ts'
import { quietWorkerd } from './scripts/quiet-workerd.ts'
import { closeSurroundings, surroundings } from './test/node/support/surroundings.ts'

quietWorkerd()
keepFilesInMemory()

// wrangler.toml lists these as required; the values in use come from test/node/support/surroundings.ts.
process.env.CALLS_API_TOKEN = 'set-per-run'
process.env.ROOT_KEYS = 'set-per-run'

// Far above what a test can reach; a test of the rates asks for its own limiter.
const outOfTheWay = { limit: 1_000_000, period: 60 } as const

// All that the Worker under test sends goes through this Worker, whose only way out is a real socket to this machine.
// `played`: hosts of the web whose https is a server here. A key set's address must be one that the broker accepts.
const loopbackOnly = (played: Record<string, string>) => ({
  name: 'loopback-only',
  compatibilityDate: '2026-10-01',
  modules: true,
  script: `
    const played = ${JSON.stringify(played)}
    export default {
      fetch(request, env) {
        const { origin, host, pathname, search } = new URL(request.url)
        const server = origin === 'https://' + host ? played[host] : undefined
        // As Cloudflare answers a Worker that asks a host without an address.
        if (!server && !/^(127|localhost)/.test(host)) return new Response(null, { status: 530 })
        return env.LOOPBACK.fetch(server ? new Request(server + pathname + search, request) : request)
      },
    }`,
  serviceBindings: { LOOPBACK: { network: { allow: ['127.0.0.1/32'] } } },
})

export default defineConfig({
  test: {
    reporters: ['default', './scripts/plain-summary.ts'],
    silent: 'passed-only', // the broker logs every request: shown where a test fails
    // Many tests wait for a deadline or a program: a few more of them than processors keep a small machine busy.
    maxWorkers: Math.max(4, availableParallelism() - 1),
    sequence: { sequencer: LongestFirst },
    projects: [
      {
        plugins: [
          crashPoints(),
          cloudflareTest(async () => {
            const { bindings, played } = await surroundings()
            return {
              wrangler: { configPath: './wrangler.toml' },
              remoteBindings: false,
              miniflare: {
                bindings: {
                  ...bindings,
                  DEPLOYMENT: 'test',
                  MATRIX_EVERY_AWAIT: process.env.MATRIX_EVERY_AWAIT ?? '',
                  MATRIX_CELL: process.env.MATRIX_CELL ?? '',
                  G15_ROWS: process.env.G15_ROWS ?? '',
                },
                ratelimits: {
                  RATE_IP: { namespace_id: '1001', simple: outOfTheWay },
                  RATE_SITE: { namespace_id: '1004', simple: outOfTheWay },
                  RATE_TENANT: { namespace_id: '1002', simple: outOfTheWay },
                  RATE_SUBJECT: { namespace_id: '1003', simple: outOfTheWay },
                  RATE_UNPROVEN: { namespace_id: '1005', simple: outOfTheWay },
                },
                outboundService: 'loopback-only',
                workers: [loopbackOnly(played)],
              },
            }
          }),
          { name: 'surroundings', configureVitest: ({ vitest }) => vitest.onClose(closeSurroundings) },
        ],
        test: {
          name: 'workerd',
          include: ['test/**/*.test.ts'],
          exclude: ['test/node/**'],
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
