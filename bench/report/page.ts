// docs/measured/performance.md: the table of a run, under which conditions it was found, and how to repeat it. Pure.
import type { Line, Result } from './result.ts'
import { bar, conditionLines, figure, spread, words } from './table.ts'

export function page(result: Result): string {
  return `# Performance

<!-- Written by \`npm run bench -- --write\`. -->

How the broker compares with the 20-line Worker that most teams write first (*naive*: it asks Cloudflare with a secret of its
environment; no authentication, no limit, no record) and with \`partytracks\`, Cloudflare's own helper, which does the same. All run in
the same workerd, in turns of seconds, and each figure is the median of the ratios of its rounds. What each row means, and what
cannot be measured on one machine: [bench/README.md](../../bench/README.md).

![Each row against its bar](performance.svg)

| row | median | of all rounds | must | aim | partytracks | behind it |
|---|---|---|---|---|---|---|
${result.lines.map(tableRow).join('\n')}

\`c\` is the number of requests at once. A row without a unit is a ratio. *Within the spread*: the median misses the bar, and a round reaches it.

## Of this run

${[...conditionLines(result), ...result.remarks].map((line) => `- ${line}`).join('\n')}

## To repeat it

\`\`\`sh
npm run bench                              # ten minutes
npm run bench -- --quick                   # two minutes, fewer and shorter rounds
npm run bench -- --rows mint-c1-20,browser # some rows
npm run bench -- --write                   # and write this page
\`\`\`

Table, JSON and plot of each run are in \`bench/results\`. Run nothing else on the machine meanwhile: other work shows as a wider spread.
`
}

function tableRow(line: Line): string {
  const must = [bar(line, line.must), words[line.verdict]].filter((text) => text !== '').join(': ')
  const partytracks = line.partytracks ? figure(line.partytracks.median, line.unit) : ''
  const cells = [
    line.title,
    `**${figure(line.median, line.unit)}**`,
    spread(line),
    must,
    bar(line, line.aim),
    partytracks,
  ]
  return `| ${[...cells, line.behind].join(' | ')} |`
}
