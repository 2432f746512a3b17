// A vitest reporter that owns the last line of a run: "N passed, N failed, N skipped"; before it, how much of the fault
// matrix was played.
// A file that does not load and an error outside any test count as failed: the line must never look better than the exit code.
import type { Reporter, SerializedError, TestModule, TestRunEndReason } from 'vitest/node'

/** In CI everything runs: a project without a single test means that its pattern matches no file. */
const PROJECTS = ['workerd', 'node']

export default class PlainSummary implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly SerializedError[], reason: TestRunEndReason): void {
    let passed = 0
    let failed = unhandled.length
    let skipped = 0
    for (const module of modules) {
      if (module.errors().length > 0) failed++
      for (const test of module.children.allTests()) {
        const { matrix } = test.meta() as { matrix?: string } // set by test/support/matrix/matrixRun.ts
        if (matrix !== undefined) process.stdout.write(`\nfault matrix: ${matrix}`)
        const { state } = test.result()
        if (state === 'passed') passed++
        else if (state === 'failed') failed++
        else skipped++ // skipped, todo, or never reached
      }
    }
    if (reason !== 'passed' && failed === 0) failed = 1
    const silent = PROJECTS.filter((name) => !modules.some(({ project }) => project.name === name))
    if (process.env.CI === 'true' && silent.length > 0) {
      process.stdout.write(`\nno test ran in the project ${silent.join(', ')}\n`)
      failed++
      process.exitCode = 1
    }
    process.stdout.write(`\n${passed} passed, ${failed} failed, ${skipped} skipped\n`)
  }
}
