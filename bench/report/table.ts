// Figures as people read them, and the rows as a table for the terminal.
import type { Line, Result } from './result.ts'

/** Three digits, and the unit. */
export function figure(value: number, unit: Line['unit']): string {
  const digits = Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(value), 0.01))))
  const text = value.toFixed(Math.min(digits, 3))
  return unit === '×' ? text : `${text}${unit === '/s' ? '' : ' '}${unit}`
}

export const bar = ({ better, unit }: Line, value: number | undefined): string =>
  value === undefined ? '' : `${better === 'lower' ? '≤' : '≥'} ${figure(value, unit)}`

export const spread = (line: Line): string =>
  line.rounds.length < 2 ? '' : `${figure(line.low, '×')} … ${figure(line.high, '×')}`

/** What stands in the column `must` beside the bar. */
export const words = { met: 'met', noise: 'within the spread', missed: 'missed', '': '' } as const

export function terminalTable({ lines }: Result): string {
  const rows = lines.map((line) => [
    line.id,
    figure(line.median, line.unit),
    spread(line),
    bar(line, line.must),
    words[line.verdict],
    bar(line, line.aim),
    line.partytracks ? figure(line.partytracks.median, line.unit) : '',
    line.behind,
  ])
  const head = ['row', 'median', 'of all rounds', 'must', '', 'aim', 'partytracks', 'behind it']
  const widths = head.map((name, n) => Math.max(name.length, ...rows.map((row) => row[n]?.length ?? 0)))
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, n) => cell.padEnd(widths[n] ?? 0))
      .join('  ')
      .trimEnd()
  return [line(head), line(widths.map((width) => '-'.repeat(width))), ...rows.map(line)].join('\n')
}

/** What the run was like, a sentence a line. */
export function conditionLines({ conditions: of }: Result): string[] {
  const list = (values: object) =>
    Object.entries(values)
      .map(([name, value]) => `${name} ${value}`)
      .join(', ')
  const cores = of.cores
    ? `processor ${of.cores.workerd} for workerd, ${of.cores.load} for load and upstream`
    : 'workerd, load and upstream share the processors'
  return [
    `${of.date.slice(0, 10)}, commit ${of.commit}${of.effort.quick ? ', --quick' : ''}; ${of.effort.rounds} rounds, a turn of ${of.effort.seconds} s for each.`,
    `Machine: ${of.machine}; ${cores}; load average ${of.loadAverage.join(' before, ')} after.`,
    ...(of.busy
      ? ['Other programs were at work on this machine: look at the spread before a figure is compared.']
      : []),
    `workerd ${of.workerd}, Node ${of.node}; SQLite files in ${of.storage === 'memory' ? 'memory' : 'a folder on disk'}. Upstream: ${of.upstream}.`,
    `Policy of the tenants: ${list(of.policy)}.`,
    `Rates, requests a minute: ${list(of.rates.run)}; shipped: ${list(of.rates.shipped)}.`,
  ]
}
