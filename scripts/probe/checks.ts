// What `npm run probe` does: a good credential relays, and a forbidden one is refused; or how long that takes.
import { setTimeout as pause } from 'node:timers/promises'
import { BrokerApi, type Minted } from './broker.ts'
import { type Ended, isRefused, untilRefused } from './forbidden.ts'
import { type Measure, type ProbeOptions, Refusal } from './options.ts'
import { type Outcome, tryRelay } from './relay.ts'
import type { TurnAddress } from './transports.ts'
import { TurnClient } from './turnClient.ts'

const GOOD_TTL_SECONDS = 300
const SHORT_TTL_SECONDS = 5
/** Long enough to outlive a measurement that ends it. */
const MEASURED_TTL_SECONDS = 14_400

/** One line of JSON. `ok`: everything was as it should be. */
export interface Report {
  readonly ok: boolean
  readonly url: string
  readonly key: string
  readonly relays?: readonly Outcome[]
  readonly wrongPasswordRefused?: boolean
  readonly revoked?: Ended
  readonly expired?: Ended
  readonly measured?: Measure
  readonly seconds?: Ended
}

export async function probe(options: ProbeOptions): Promise<Report> {
  const api = new BrokerApi(options)
  const key = await api.key()
  const head = { url: options.url, key }
  if (options.measure) {
    const seconds = await measured(api, { ...options, measure: options.measure }, key)
    const ok = seconds.allocateSeconds !== null && seconds.refreshSeconds !== null
    return { ok, ...head, measured: options.measure, seconds }
  }
  const good = await api.mint(key, GOOD_TTL_SECONDS)
  const address = firstOf(good)
  const relays: Outcome[] = []
  for (const each of good.turn) relays.push(await tryRelay(each, good, options.ca))
  const wrongPasswordRefused = await isRefused(address, { ...good, credential: `${good.credential}x` }, options.ca)
  await api.revoke(key, good.username)
  const revoked = await ended(options, address, good, Date.now())
  const short = await api.mint(key, SHORT_TTL_SECONDS)
  await pause(short.expiresAt - Date.now())
  const expired = await ended(options, address, short, short.expiresAt)
  const relayed = relays.length > 0 && relays.every(({ outcome }) => outcome === 'relayed')
  const forbidden = wrongPasswordRefused && revoked.allocateSeconds !== null && expired.allocateSeconds !== null
  return { ok: relayed && forbidden, ...head, relays, wrongPasswordRefused, revoked, expired }
}

const ended = ({ withinSeconds, ca }: ProbeOptions, address: TurnAddress, login: Minted, since: number) =>
  untilRefused({ address, login, since, withinSeconds, ca })

/** Allocates with a credential, ends it in one of three ways, and waits until it is refused. */
async function measured(
  api: BrokerApi,
  options: ProbeOptions & { readonly measure: Measure },
  listed: string,
): Promise<Ended> {
  const { measure, ca, withinSeconds } = options
  const key = measure === 'delete' ? await api.createKey('probe') : listed
  try {
    const login = await api.mint(key, measure === 'expiry' ? SHORT_TTL_SECONDS : MEASURED_TTL_SECONDS)
    const address = firstOf(login)
    const running = await TurnClient.open(address, login, ca)
    try {
      await running.allocate()
      if (measure === 'revoke') await api.revoke(key, login.username)
      else if (measure === 'delete') await api.deleteKey(key)
      else await pause(login.expiresAt - Date.now())
      return await untilRefused({ address, login, since: Date.now(), withinSeconds, ca, running })
    } finally {
      await running.close()
    }
  } catch (error) {
    if (measure === 'delete') await api.deleteKey(key).catch(() => undefined)
    throw error
  }
}

/** UDP before TCP and TLS, as a browser prefers it. Throws `Refusal` where there is no TURN URL. */
function firstOf({ turn }: Minted): TurnAddress {
  const address = turn.find(({ transport }) => transport === 'udp') ?? turn[0]
  if (!address) throw new Refusal('The broker handed out no TURN URL: look at the policy of the tenant (urls).')
  return address
}
