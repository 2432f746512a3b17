// The rows as an SVG: how each figure stands to its bar, on a logarithmic axis, with the spread of its rounds. Pure.
import type { Line } from './result.ts'
import { bar, figure } from './table.ts'

const WIDTH = 960
const LEFT = 150
const RIGHT = 230
const TOP = 56
const ROW = 30
/** The axis: from eight times better than the bar to eight times worse. */
const OCTAVES = 3

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')

/** 0 at the bar, 1 an octave worse than it, whatever the direction of the row; within the axis. */
function octavesWorse(line: Line & { must: number }, value: number): number {
  const times = line.better === 'lower' ? value / line.must : line.must / value
  return Math.max(-OCTAVES, Math.min(OCTAVES, Math.log2(times)))
}

const hasBar = (line: Line): line is Line & { must: number } => line.must !== undefined

/** Rows without a bar are in the table only. */
export function plot(lines: readonly Line[], caption: string): string {
  const shown = lines.filter(hasBar)
  const height = TOP + shown.length * ROW + 40
  const plotWidth = WIDTH - LEFT - RIGHT
  const x = (octaves: number) => (LEFT + ((octaves + OCTAVES) / (2 * OCTAVES)) * plotWidth).toFixed(1)
  const grid = Array.from({ length: 2 * OCTAVES + 1 }, (_, n) => n - OCTAVES)
    .map((octave) => {
      const label = octave === 0 ? 'must' : octave < 0 ? `${2 ** -octave}× better` : `${2 ** octave}× worse`
      const weight = octave === 0 ? ' stroke="#333"' : ' stroke="#ddd"'
      return `<line x1="${x(octave)}" x2="${x(octave)}" y1="${TOP - 8}" y2="${height - 34}"${weight}/><text x="${x(octave)}" y="${TOP - 14}" text-anchor="middle" fill="#666">${label}</text>`
    })
    .join('\n')
  const rows = shown.map((line, n) => {
    const y = TOP + n * ROW + ROW / 2
    const at = (value: number) => x(octavesWorse(line, value))
    const colour = line.verdict === 'missed' ? '#c0392b' : line.verdict === 'noise' ? '#b9770e' : '#1e8449'
    const aim =
      line.aim === undefined ? '' : `<path d="M ${at(line.aim)} ${y - 7} v 14" stroke="#888" stroke-dasharray="2 2"/>`
    return [
      `<g><title>${escaped(line.title)}</title>`,
      `<text x="${LEFT - 10}" y="${y + 4}" text-anchor="end">${escaped(line.id)}</text>${aim}`,
      `<line x1="${at(line.low)}" x2="${at(line.high)}" y1="${y}" y2="${y}" stroke="${colour}" stroke-width="3" stroke-opacity="0.4"/>`,
      `<circle cx="${at(line.median)}" cy="${y}" r="5" fill="${colour}"/>`,
      `<text x="${WIDTH - RIGHT + 12}" y="${y + 4}">${escaped(`${figure(line.median, line.unit)}  (must ${bar(line, line.must)})`)}</text></g>`,
    ].join('')
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escaped(caption)}">
<rect width="100%" height="100%" fill="#fff"/>
<text x="10" y="18" font-size="14" fill="#000">${escaped(caption)}</text>
${grid}
${rows.join('\n')}
<text x="10" y="${height - 10}" fill="#666">Dot: median of the rounds. Bar: smallest to largest round. Dashed: aim. Left of the line is better.</text>
</svg>
`
}
