// docs/measured/cost.md: the counts of each operation, their price for a million, and a month of three deployments. Pure.
import { amountsOf, type Counts, month, type OperationCost, sampled, sumOf, type Times, usdPerMillion } from './bill.ts'
import { type Amounts, type Item, OBJECT_GB, PLAN_USD_PER_MONTH, PRICES } from './prices.ts'

/** Every operation of docs/measured/cost-counts.json, in the order of the tables. */
const OPERATIONS: Readonly<Record<string, Times & { readonly title: string }>> = {
  mintKnownSubject: { title: 'mint at the browser door, known subject', cpuMs: 2, objectMs: 100 },
  mintNewSubject: { title: 'mint at the browser door, new subject', cpuMs: 2, objectMs: 100 },
  mintForServer: { title: 'mint for a server', cpuMs: 2, objectMs: 100 },
  repeatFirstInMinute: { title: 'repeat, the first of a credential in a minute', cpuMs: 1, objectMs: 5 },
  repeatFurther: { title: 'repeat, each further one', cpuMs: 1, objectMs: 5 },
  lookUp: { title: 'look-up of a TURN key, from KV', cpuMs: 1, objectMs: 5 },
  refusalForged: { title: 'refusal of a forged client token', cpuMs: 1, objectMs: 5 },
  refusalByTenant: { title: 'refusal by the Tenant, each further one of its kind', cpuMs: 1, objectMs: 5 },
  clientToken: { title: 'client token', cpuMs: 1, objectMs: 5 },
  revocation: { title: 'revocation of one credential', cpuMs: 2, objectMs: 105 },
}

/** For each first mint; the rest of the traffic follows from it. */
const MIX: Readonly<Record<string, number>> = {
  mintKnownSubject: 0.8,
  mintNewSubject: 0.2,
  clientToken: 1,
  repeatFirstInMinute: 0.5,
  repeatFurther: 0.5,
  refusalForged: 0.2,
  refusalByTenant: 0.02,
  lookUp: 0.1,
  revocation: 0.05,
}
const MINTS_A_DAY = [1e3, 1e5, 1e7]
const SAMPLED = 0.01
/** An audit event with its indexes. One is kept for each mint, client token, repeat and revocation. */
const AUDIT_BYTES = 250
const AUDIT_DAYS = 90

const NAIVE: Amounts = {
  workerRequests: 1,
  workerCpuMs: 0.25,
  objectRequests: 0,
  objectGbSeconds: 0,
  rowsRead: 0,
  rowsWritten: 0,
  kvReads: 0,
  kvWrites: 0,
  logEvents: 1,
}
/** Each first mint and each repeat is a request of naive, which mints each time. */
const NAIVE_REQUESTS_A_MINT = 2

const NAMES: Readonly<Record<Item, string>> = {
  workerRequests: 'requests of the Worker',
  workerCpuMs: 'processor time of the Worker, ms',
  objectRequests: 'requests of Durable Objects',
  objectGbSeconds: 'duration of Durable Objects, GB-s',
  rowsRead: 'rows read',
  rowsWritten: 'rows written',
  kvReads: 'KV reads',
  kvWrites: 'KV writes',
  logEvents: 'log events',
}

/** Throws when the counts hold other operations than this page knows. */
export function page(costs: Readonly<Record<string, OperationCost>>): string {
  const [known, counted] = [Object.keys(OPERATIONS).sort(), Object.keys(costs).sort()]
  if (known.join() !== counted.join()) throw new Error(`operations: the page knows ${known}, counted are ${counted}`)
  const all = Object.entries(OPERATIONS).flatMap(([name, { title, ...times }]) => {
    const cost = costs[name]
    return cost ? [{ name, title, cost, amounts: amountsOf(cost, times) }] : []
  })
  return `# Cost

<!-- Written by \`npm run cost\` from docs/measured/cost-counts.json. -->

What an operation costs at Cloudflare's list prices, without tax, computed from what a test counts: \`test/issuing/operationCosts.test.ts\`
runs each operation in workerd and fails when a count differs from [cost-counts.json](cost-counts.json), and \`npm run check\` fails when
this page does not fit the counts. A count that rises needs a [decision record](../decisions/README.md).

A change that is meant: \`npx vitest run -u test/issuing/operationCosts.test.ts\`, then \`npm run cost\`.

## What is counted

Before the slash: in the request. After it: later, by jobs, until the last row is gone (revoking, pruning of the ledger after expiry,
of the audit trail after its retention). Not in it: what a job costs by itself, the tenant's snapshot that an isolate fetches once a
minute, and the day's row of counters.

| operation | statements | rows read | rows written | commits | RPCs | KV reads | KV writes | calls of Cloudflare | log events |
|---|---|---|---|---|---|---|---|---|---|
${all.map(({ title, cost }) => `| ${[title, ...countCells(cost)].join(' | ')} |`).join('\n')}

An alarm that is set is counted as a row written, as Cloudflare bills it. RPCs are those of the Worker.

## A million of each, US$

| operation | requests | rows written | rows read | KV | time | logs | sum | logs sampled at 1 % |
|---|---|---|---|---|---|---|---|---|
${[...all, { title: '*naive*: each request', amounts: NAIVE }].map(({ title, amounts }) => `| ${[title, ...priceCells(amounts)].join(' | ')} |`).join('\n')}

*Naive* is the 20-line Worker of the [benchmark](../../bench/README.md): no authentication, no limit, no record. It mints for each request, and
for everybody. *Time* is processor time of the Worker and duration of the object, for which the benchmark's figures are rounded up:
${MINT_TIMES}. The relay traffic itself ($0.05 a GB) is the same for all.

## A month of a deployment, US$

For each 100 first mints:

${MIX_LIST}

Less what the plan includes, and with its $${PLAN_USD_PER_MONTH}. Storage: ${AUDIT_BYTES} bytes an audit event for ${AUDIT_DAYS} days.

| first mints a day | broker | logs at 1 % | costs most | naive | logs at 1 % |
|---|---|---|---|---|---|
${MINTS_A_DAY.map((mints) => `| ${deploymentCells(all, mints).join(' | ')} |`).join('\n')}

## Prices

${Object.entries(PRICES)
  .map(
    ([item, { usdPerMillion: price, included }]) =>
      `- ${NAMES[item as Item]}: $${price} a million, ${included.toLocaleString('en')} a month included`,
  )
  .join('\n')}
- a Durable Object is billed with ${OBJECT_GB} GB while it works; requests that overlap share the time

Cloudflare's documentation, November 2026: Workers pricing, Durable Objects pricing, KV pricing. SQLite storage above 5 GB costs $0.20 a GB and month.
`
}

const MINT_TIMES = ['mintKnownSubject', 'repeatFurther']
  .flatMap((name) => OPERATIONS[name] ?? [])
  .map(({ title, cpuMs, objectMs }) => `${title}: ${cpuMs} ms and ${objectMs} ms`)
  .join('; ')

const MIX_LIST = Object.entries(MIX)
  .map(([name, share]) => `- ${share * 100} × ${OPERATIONS[name]?.title}`)
  .join('\n')

function countCells({ request, later }: OperationCost): string[] {
  const cell = (...of: (keyof Counts)[]) => {
    const sum = (counts: Counts) => of.reduce((total, what) => total + counts[what], 0)
    return sum(later) === 0 ? `${sum(request)}` : `${sum(request)} / ${sum(later)}`
  }
  return [
    cell('statements'),
    cell('rowsRead'),
    cell('rowsWritten', 'alarmsSet'),
    cell('commits'),
    cell('rpcs'),
    cell('kvReads'),
    cell('kvWrites'),
    cell('upstreamCalls'),
    cell('logEvents'),
  ]
}

function priceCells(amounts: Amounts): string[] {
  const cell = (...items: Item[]) => usd(usdPerMillion(amounts, items))
  return [
    cell('workerRequests', 'objectRequests'),
    cell('rowsWritten'),
    cell('rowsRead'),
    cell('kvReads', 'kvWrites'),
    cell('workerCpuMs', 'objectGbSeconds'),
    cell('logEvents'),
    `**${usd(usdPerMillion(amounts))}**`,
    `**${usd(usdPerMillion(sampled(amounts, SAMPLED)))}**`,
  ]
}

function deploymentCells(all: readonly { name: string; amounts: Amounts }[], mints: number): string[] {
  const daily = sumOf(all.map(({ name, amounts }) => [(MIX[name] ?? 0) * mints, amounts] as const))
  const audited = ['mintKnownSubject', 'mintNewSubject', 'clientToken', 'repeatFirstInMinute', 'revocation']
  const events = audited.reduce((total, name) => total + (MIX[name] ?? 0), 0) * mints * AUDIT_DAYS
  const storedGb = (events * AUDIT_BYTES) / 1e9
  const naive = sumOf([[NAIVE_REQUESTS_A_MINT * mints, NAIVE]])
  const full = month(daily, storedGb)
  return [
    mints.toLocaleString('en'),
    usd(full.usd),
    usd(month(sampled(daily, SAMPLED), storedGb).usd),
    full.most === undefined ? 'all is included' : NAMES[full.most],
    usd(month(naive, 0).usd),
    usd(month(sampled(naive, SAMPLED), 0).usd),
  ]
}

const usd = (value: number): string =>
  value === 0
    ? '0'
    : value < 0.005
      ? '< 0.01'
      : value >= 1_000
        ? Math.round(value).toLocaleString('en')
        : value.toFixed(2)
