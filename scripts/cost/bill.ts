// What counted operations cost: the amounts that Cloudflare bills, a price for a million of them, a month of a deployment. Pure.
import {
  type Amounts,
  type Item,
  OBJECT_GB,
  PLAN_USD_PER_MONTH,
  PRICES,
  STORAGE_INCLUDED_GB,
  STORAGE_USD_PER_GB_MONTH,
} from './prices.ts'

/** As in docs/measured/cost-counts.json, which test/issuing/operationCosts.test.ts writes and compares. */
export interface Counts {
  readonly statements: number
  readonly rowsRead: number
  readonly rowsWritten: number
  readonly alarmsSet: number
  readonly commits: number
  readonly rpcs: number
  readonly kvReads: number
  readonly kvWrites: number
  readonly upstreamCalls: number
  readonly logEvents: number
}

export interface OperationCost {
  readonly request: Counts
  readonly later: Counts
}

/** What no test counts: rounded up from the benchmark. Little of a bill hangs on them. */
export interface Times {
  /** Processor time of the Worker. */
  readonly cpuMs: number
  /** How long the operation keeps the object awake; requests that overlap share it. */
  readonly objectMs: number
}

const ITEMS = Object.keys(PRICES) as Item[] // a constant has its own names
const DAYS_A_MONTH = 30

/** One operation, over its whole life. An alarm that is set is a row written, and a request of the object when it comes. */
export function amountsOf({ request, later }: OperationCost, { cpuMs, objectMs }: Times): Amounts {
  const both = (what: keyof Counts) => request[what] + later[what]
  return {
    workerRequests: 1,
    workerCpuMs: cpuMs,
    objectRequests: both('rpcs') + both('alarmsSet'),
    objectGbSeconds: both('rpcs') === 0 ? 0 : (objectMs / 1_000) * OBJECT_GB,
    rowsRead: both('rowsRead'),
    rowsWritten: both('rowsWritten') + both('alarmsSet'),
    kvReads: both('kvReads'),
    kvWrites: both('kvWrites'),
    logEvents: both('logEvents'),
  }
}

/** The same with a share of the log events. */
export const sampled = (amounts: Amounts, logShare: number): Amounts => ({
  ...amounts,
  logEvents: amounts.logEvents * logShare,
})

/** US$ for a million, at list price: nothing is included. */
export const usdPerMillion = (amounts: Amounts, items: readonly Item[] = ITEMS): number =>
  items.reduce((total, item) => total + amounts[item] * PRICES[item].usdPerMillion, 0)

export function sumOf(parts: readonly (readonly [times: number, amounts: Amounts])[]): Amounts {
  const sum = (item: Item) => parts.reduce((total, [times, amounts]) => total + times * amounts[item], 0)
  return Object.fromEntries(ITEMS.map((item) => [item, sum(item)])) as Amounts // all items
}

export interface Month {
  readonly usd: number
  /** The item that costs most; `undefined` while all is included. */
  readonly most: Item | undefined
}

/** A month of a deployment, less what the plan includes. `storedGb`: kept all the time. */
export function month(daily: Amounts, storedGb: number): Month {
  const charges = ITEMS.map((item) => {
    const { included, usdPerMillion: price } = PRICES[item]
    return { item, usd: (Math.max(0, daily[item] * DAYS_A_MONTH - included) / 1e6) * price }
  })
  const storage = Math.max(0, storedGb - STORAGE_INCLUDED_GB) * STORAGE_USD_PER_GB_MONTH
  const usd = PLAN_USD_PER_MONTH + storage + charges.reduce((total, charge) => total + charge.usd, 0)
  const [most] = charges.filter((charge) => charge.usd > 0).sort((a, b) => b.usd - a.usd)
  return { usd, most: most?.item }
}
