// How long a TURN server goes on taking a login that it should refuse: a wrong, revoked or expired one, or one of a deleted key.
import { setTimeout as pause } from 'node:timers/promises'
import type { TurnAddress } from './transports.ts'
import { type Login, TurnClient, TurnRefusal } from './turnClient.ts'

const EVERY_MS = 1_000

/** Seconds from the moment of the ban; `null`: not within the time. */
export interface Ended {
  /** Until a new allocation was refused. */
  readonly allocateSeconds: number | null
  /** Until a running allocation could not be refreshed; absent: none was running. */
  readonly refreshSeconds?: number | null
}

interface Waiting {
  readonly address: TurnAddress
  readonly login: Login
  /** When the login was forbidden, in milliseconds since 1970. */
  readonly since: number
  readonly withinSeconds: number
  readonly ca: string | undefined
  /** An allocation from before, with the login. */
  readonly running?: TurnClient
}

/** Tries each second until both are refused or the time is over. */
export async function untilRefused({ address, login, since, withinSeconds, ca, running }: Waiting): Promise<Ended> {
  let allocateSeconds: number | null = null
  let refreshSeconds: number | null = null
  const seconds = () => Math.max(0, Math.round((Date.now() - since) / 100) / 10)
  for (;;) {
    const begun = Date.now()
    if (allocateSeconds === null && (await isRefused(address, login, ca))) allocateSeconds = seconds()
    if (running && refreshSeconds === null && (await refused(running.refresh(600)))) refreshSeconds = seconds()
    const isOver = allocateSeconds !== null && (!running || refreshSeconds !== null)
    if (isOver || seconds() >= withinSeconds) break
    await pause(Math.max(0, EVERY_MS - (Date.now() - begun)))
  }
  return { allocateSeconds, ...(running ? { refreshSeconds } : {}) }
}

/** Whether the server refuses an allocation. No answer and no connection are no refusal: they throw. */
export async function isRefused(address: TurnAddress, login: Login, ca?: string): Promise<boolean> {
  const client = await TurnClient.open(address, login, ca)
  try {
    return await refused(client.allocate())
  } finally {
    await client.close()
  }
}

async function refused(request: Promise<unknown>): Promise<boolean> {
  try {
    await request
    return false
  } catch (error) {
    if (error instanceof TurnRefusal && error.code !== undefined) return true
    throw error
  }
}
