// A Vite plugin for the tests in workerd: names every `await` of the objects' code, so that a test can end the objects
// there. `await x` becomes `await step('tenant/a.ts:12', () => x)`; while no test listens, a step only calls its function.
import type { Plugin } from 'vitest/config'

/** What runs inside the Durable Objects, sub-folders included. test/node/scripts/crashPoints.test.ts checks that no file is missed. */
const WATCHED = /\/src\/((?:tenant|account|rpc|storage|cloudflare|cache|concurrency|crypto)\/(?:[\w-]+\/)*[\w-]+\.ts)$/

/** Declared at the end of each file, so that its lines keep their numbers. */
const STEP =
  '\nfunction __step(at, make) { return globalThis.__crashPoint ? globalThis.__crashPoint(at, make) : make() }\n'

interface Await {
  readonly start: number
  readonly end: number
  /** What is awaited is made of another await. */
  nested: boolean
}

export const crashPoints = (): Plugin => ({
  name: 'crash-points',
  enforce: 'pre',
  transform(code, id) {
    const file = WATCHED.exec(id)?.[1]
    if (file === undefined) return
    const awaits: Await[] = []
    collect(this.parse(code, { lang: 'ts' }), [], awaits)
    return awaits.length === 0 ? undefined : { code: named(code, file, awaits) + STEP, map: null }
  },
})

/** Finds every `await`, and those of the same function around it. */
function collect(node: unknown, around: readonly Await[], found: Await[]): void {
  if (Array.isArray(node)) for (const each of node) collect(each, around, found)
  if (typeof node !== 'object' || node === null || !('type' in node)) return
  let within = /Function/.test(String(node.type)) ? [] : around
  if (node.type === 'AwaitExpression' && 'start' in node && 'end' in node) {
    for (const outer of around) outer.nested = true
    const mine: Await = { start: Number(node.start), end: Number(node.end), nested: false }
    found.push(mine)
    within = [...around, mine]
  }
  for (const child of Object.values(node)) collect(child, within, found)
}

function named(code: string, file: string, awaits: readonly Await[]): string {
  const inserts = awaits.flatMap(({ start, end, nested }) => {
    const line = code.slice(0, start).split('\n').length
    return [
      { at: start + 'await'.length, text: ` __step('${file}:${line}', ${nested ? 'async ' : ''}() => (` },
      { at: end, text: '))' },
    ]
  })
  let rest = code
  for (const { at, text } of inserts.sort((a, b) => b.at - a.at)) rest = rest.slice(0, at) + text + rest.slice(at)
  return rest
}
