// What a page waits for: the library's simple request against a fetch with an Authorization header, which needs a preflight.
import type { Browser } from 'playwright-core'
import { CHROMIUM, chromiumIsInstalled, launchChromium } from '../../test/node/browser/programs.ts'
import { interleaved } from '../load/drive.ts'
import { servePage } from '../load/page.ts'
import { startSlowWire } from '../load/slowWire.ts'
import { median } from '../load/statistics.ts'
import type { Experiment, Finding, Lab, Row } from './row.ts'
import { BenchTenant } from './tenant.ts'

const ONE_WAY_MS = 40
const UPSTREAM_MS = 20

const ROW: Row = {
  id: 'browser',
  title: `saved by the library from page script to ICE servers, in round trips of ${2 * ONE_WAY_MS} ms, against fetch with an Authorization header; Chromium`,
  unit: '×',
  better: 'higher',
  must: 0.9,
  aim: 1,
}

type Way = 'library' | 'fetch'

/** bench/load/page.ts puts it there. */
interface AskingPage {
  readonly askBy: Record<Way, (url: string, token: string) => Promise<{ ms: number; servers: number }>>
}

async function run(lab: Lab): Promise<Finding[]> {
  if (!chromiumIsInstalled()) {
    lab.say(
      `${ROW.id}: left out, because there is no Chromium at ${CHROMIUM} (Debian package chromium, or CHROMIUM_PATH).`,
    )
    return []
  }
  const broker = await lab.broker()
  ;(await lab.upstream()).delayMs = UPSTREAM_MS
  const page = await servePage()
  const wire = await startSlowWire(broker.url, ONE_WAY_MS)
  let browser: Browser | undefined
  try {
    const tenant = await BenchTenant.create(broker, 'browser', { allowedOrigins: [page.origin] })
    const chromium = await launchChromium()
    browser = chromium
    const turn = async (way: Way) => {
      const token = await tenant.clientToken()
      // Without cookies, cache and connections of the page before, and without a remembered preflight.
      const context = await chromium.newContext()
      const opened = await context.newPage()
      await opened.goto(page.origin)
      await opened.waitForFunction(() => 'askBy' in globalThis)
      const { ms, servers } = await opened.evaluate(
        ([how, url, bearer]) => (globalThis as unknown as AskingPage).askBy[how](url, bearer), // runs in the page
        [way, `${wire.url}/v1/tenants/${tenant.id}/ice-servers`, token] as const,
      )
      await context.close()
      if (servers < 1) throw new Error(`${way}: no ICE servers`)
      return ms
    }
    for (const way of ['library', 'fetch'] as const) await turn(way)
    const found = await interleaved(['library', 'fetch'] as const, lab.effort.rounds, turn)
    const saved = found.fetch.map((ms, round) => (ms - (found.library[round] ?? Number.NaN)) / (2 * ONE_WAY_MS))
    const behind = `library ${Math.round(median(found.library))} ms, fetch ${Math.round(median(found.fetch))} ms`
    return [{ row: ROW.id, rounds: saved, behind }]
  } finally {
    await browser?.close()
    await wire.close()
    await page.close()
  }
}

export const BROWSER: Experiment = { rows: [ROW], run }
