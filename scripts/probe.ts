// `npm run probe -- --url … --token …`: whether what a broker hands out relays, and whether a wrong, a revoked and an expired
// credential is refused. Prints one line of JSON. Exit code 0: all as it should be; 1: something is not; 2: it could not be tried.
import { probe } from './probe/checks.ts'
import { parseOptions, Refusal } from './probe/options.ts'

try {
  const report = await probe(parseOptions(process.argv.slice(2), process.env))
  console.log(JSON.stringify(report))
  process.exitCode = report.ok ? 0 : 1
} catch (error) {
  const reason = error instanceof Error ? error.message : String(error)
  console.log(JSON.stringify({ ok: false, error: reason }))
  if (!(error instanceof Refusal)) console.error(reason)
  process.exitCode = 2
}
