/**
 * The fault matrix: every fault on every scenario, and a crash at every await of each way that a scenario can go. Ways that
 * are alike up to an await, in what was awaited, written and done upstream, are crashed there once.
 */
import { runInDurableObject } from 'cloudflare:test'
import { vi } from 'vitest'
import type { Answer } from '../broker/answer.ts'
import { HOUR_MS, passTime, SECOND_MS } from '../broker/clock.ts'
import { outcomeOf } from '../broker/contract.ts'
import { emulator } from '../broker/upstream.ts'
import { watchLogs } from '../secrets/secretWatch.ts'
import { tenantSql, tenantStub } from '../storage/tenantRows.ts'
import { usernameIn } from '../tenants/issuing.ts'
import { type Cell, cellName, crashCells, type Done, faultsOf } from './cells.ts'
import { nameOf, pointsOf, type Run, refuseConnections, watched } from './crashes.ts'
import { isKnownLie, isLeftOut } from './exceptions.ts'
import type { FaultRow } from './faultTable.ts'
import { countingLent } from './lending.ts'
import { aftermath, disagreements, recover, shownSecrets, sweepAll } from './oracle.ts'
import { deadlineOf, newWorld, type Scenario, type Thing, type World } from './scenarioSteps.ts'
import { SCENARIOS, type ScenarioName } from './scenarios.ts'

/** What is wrong with the answers, and with what is left after the recovery. */
interface Findings {
  readonly answers: string[]
  readonly left: string[]
}

export interface Played extends Findings {
  readonly cells: number
  /** Each await, before and after. */
  readonly points: number
  /** Of these, at which the objects were ended. */
  readonly crashes: number
  /** Calls over a lent connection. */
  readonly lent: number
  /** By the name of the fault, where no object was ended. */
  readonly outcomes: Readonly<Record<string, string>>
  /** The names of the cells that were asked for and played; without `only`, of all. */
  readonly played: readonly string[]
}

/** Between two cells; after a 429, until its block has ended. */
const PAUSE_MS = 10 * SECOND_MS
const BLOCK_MS = 310 * SECOND_MS
/** Before this an Idempotency-Key is remembered. */
const REPEATED_MS = 20 * HOUR_MS
/** What is finally over is remembered for 30 days: long before, the sweep must have seen it. */
const SWEPT_AT_LEAST_MS = 7 * 24 * HOUR_MS
/** So that no world comes near the 1,000 keys that there may be. */
const CELLS_A_WORLD = 300
/** What an answer that its deadline brought about may still take. */
const LATE_TURNS = 60

/** Plays a scenario under every fault, then with every crash: of those that are alike one, or, `everyAwait`, all. */
export async function play(name: ScenarioName, { everyAwait = false, only = '' } = {}): Promise<Played> {
  const scenario: Scenario = SCENARIOS[name]
  const isAsked = (cell: Cell) => (only === '' ? !isLeftOut(name, cell) : only === cellName(name, cell))
  const isNear = (fault: FaultRow) =>
    only === '' || `${only},`.startsWith(`${cellName(name, { fault, point: undefined })},`)
  const faults = faultsOf(scenario)
    .filter(isNear)
    .filter((fault) => only !== '' || !isLeftOut(name, { fault, point: undefined }))
  const whole = await playCells(
    name,
    'whole',
    faults.map((fault) => ({ fault, point: undefined })),
  )
  const crashes = crashCells(whole.done, !everyAwait && only === '').filter(isAsked)
  const worlds = [whole]
  for (let first = 0; first < crashes.length; first += CELLS_A_WORLD) {
    worlds.push(await playCells(name, `crashed-${first}`, crashes.slice(first, first + CELLS_A_WORLD)))
  }
  const done = worlds.flatMap((world) => world.done)
  const played = done.map(({ cell }) => cellName(name, cell))
  return {
    played: played.filter((cell) => only === '' || cell === only),
    cells: whole.done.length,
    points: new Set(whole.done.flatMap(({ run }) => pointsOf(run.events, { distinct: false }).map(nameOf))).size,
    crashes: done.filter(({ run }) => run.crashed).length,
    lent: done.reduce((sum, { lent }) => sum + lent, 0),
    outcomes: outcomesIn(whole.done),
    answers: worlds.flatMap(({ answers }) => answers),
    left: worlds.flatMap(({ left }) => left),
  }
}

/** What a scenario ends in under each fault, by the fault's name. */
export async function outcomesOf(name: ScenarioName): Promise<Played['outcomes']> {
  const cells = faultsOf(SCENARIOS[name]).map((fault) => ({ fault, point: undefined }))
  return outcomesIn((await playCells(name, 'outcomes', cells)).done)
}

const outcomesIn = (done: readonly Done[]): Played['outcomes'] =>
  Object.fromEntries(done.map(({ cell, outcome }) => [cell.fault.name, outcome]))

/** Plays cells in a world of their own, lets it recover, and asks the oracle. */
async function playCells(
  name: ScenarioName,
  id: string,
  cells: readonly Cell[],
): Promise<Findings & { readonly done: Done[] }> {
  const scenario: Scenario = SCENARIOS[name]
  const logged = watchLogs()
  // Each with a name of its own: what an isolate remembers goes by it.
  const world = await newWorld(`${id}-${Object.keys(SCENARIOS).indexOf(name)}`)
  const answers: string[] = []
  const left: string[] = []
  const done: Done[] = []
  const about = (cell: Cell, found: string[]) => found.map((what) => `${cellName(name, cell)}: ${what}`)
  const begunAt = Date.now()
  let sweptAt = begunAt
  for (const [n, cell] of cells.entries()) {
    const before = cells[n - 1]?.fault.fault
    passTime(typeof before === 'object' && before.kind === 'rate-limit' ? BLOCK_MS : PAUSE_MS)
    const thing = await scenario.prepare(world, `c${n}.`)
    const { run, lent } = await playOne(world, scenario, cell, thing)
    const it: Done = { cell, thing, run, lent, outcome: run.value ? outcomeOf(run.value) : await stateOf(world, thing) }
    done.push(it)
    answers.push(...about(cell, wrongAnswer(scenario, it)))
    left.push(...about(cell, await lostAlarm(world, scenario, run)))
    if (scenario.route === null) left.push(...about(cell, await settle(world, scenario, [it], Date.now(), run.crashed)))
    if (Date.now() - sweptAt > SWEPT_AT_LEAST_MS) {
      await sweepAll(world.broker, world.id)
      sweptAt = Date.now()
    }
  }
  const { ledger } = await aftermath(world.id)
  if (scenario.route !== null) left.push(...(await settle(world, scenario, done, begunAt, false)))
  await sweepAll(world.broker, world.id)
  left.push(...(await recover(world.id)))
  const after = { ...(await aftermath(world.id)), issued: ledger }
  for (const { cell, thing, run, again } of done.filter((each) => !isKnownLie(name, each.cell.fault)))
    left.push(...about(cell, scenario.check(thing, run.value, after, again)))
  const inWords = (found: string) =>
    found.replace(/\bc(\d+)\.x?/, (short, n) => {
      const cell = done[Number(n)]?.cell
      return cell ? `${cellName(name, cell)} (${short})` : short
    })
  left.push(...(await disagreements(world.id, after)).map(inWords))
  const texts = done.flatMap(({ run, again }) => [run.value, again]).map(withoutOwnSecret)
  left.push(...(await shownSecrets(texts.join('\n'), logged())))
  vi.restoreAllMocks()
  await emulator.reset()
  return { done, answers, left }
}

async function playOne(
  world: World,
  scenario: Scenario,
  { fault, point }: Cell,
  thing: Thing,
): Promise<Pick<Done, 'run' | 'lent'>> {
  const { operation } = scenario
  // The job meets the rest.
  const stays = fault.times === 2 && scenario.asksAgain === 'by its job'
  if (typeof fault.fault === 'object') {
    const only = stays ? { uid: thing.uid } : {}
    await emulator.fault({ operation, fault: fault.fault, times: fault.times, ...only })
  }
  const restore = fault.fault === 'refused' ? refuseConnections() : undefined
  const options = { ...(point ? { point } : {}), silence: fault.silence, deadlineMs: deadlineOf(scenario) }
  try {
    const { value: run, lent } = await countingLent(fault.fault, () =>
      watched(() => scenario.act(world, thing), options),
    )
    return { run, lent }
  } finally {
    restore?.()
    if (!stays) await emulator.clearFaults()
  }
}

/** Lets the jobs work for most of a day, has the callers ask again, and lets the jobs end. */
async function settle(
  world: World,
  scenario: Scenario,
  done: readonly Done[],
  begunAt: number,
  alarmBroken: boolean,
): Promise<string[]> {
  const found = await recover(world.id, { alarmBroken, until: begunAt + REPEATED_MS })
  for (const [n, it] of done.entries()) {
    it.again = n > 0 && scenario.againOnce ? done[0]?.again : await scenario.again?.(world, it.thing)
  }
  return [...found, ...(await recover(world.id))]
}

function wrongAnswer(scenario: Scenario, { lent, run: { value, thrown, crashed, lateTurns } }: Done): string[] {
  const found: string[] = []
  if (scenario.lent && !crashed && lent === 0) found.push('no call over a lent connection')
  if (thrown !== undefined && !(scenario.route === null && crashed)) found.push(`threw ${thrown}`)
  if (value?.status === 500) found.push(`answered 500: ${value.text}`)
  if (lateTurns > LATE_TURNS) found.push(`answered long after its deadline (${lateTurns} turns)`)
  return found
}

/** After a crash outside an alarm, whatever is unfinished must have an alarm that wakes the object for it. */
async function lostAlarm({ id }: World, scenario: Scenario, { crashed }: Run<unknown>): Promise<string[]> {
  if (!crashed || scenario.route === null) return []
  const isLost = await runInDurableObject(tenantStub(id), async (_, { storage }) => {
    const { n } = storage.sql.exec<{ n: number }>('SELECT count(*) AS n FROM jobs').one()
    return n > 0 && (await storage.getAlarm()) === null
  })
  return isLost ? ['jobs without an alarm'] : []
}

/** Of a job, which has no answer: what became of its key and its credential. */
async function stateOf({ id }: World, { name, username }: Thing): Promise<string> {
  const rows = await tenantSql(
    id,
    `SELECT state, looks, pending_name IS NULL AS named FROM turn_keys WHERE name IN ('${name}', '${name}x')
     UNION ALL SELECT state, '', '' FROM credentials WHERE username = '${username}'`,
  )
  return JSON.stringify(rows)
}

/** A credential that was asked for may stand in its answer. */
function withoutOwnSecret(answer: Answer | undefined): string {
  if (!answer) return ''
  const { text, headers, json } = answer
  const servers: { credential?: string }[] = usernameIn(answer) === undefined ? [] : [json.iceServers].flat()
  const own = servers.map(({ credential }) => credential).find((it) => it !== undefined)
  return (own === undefined ? text : text.replaceAll(own, '')) + JSON.stringify([...headers])
}
