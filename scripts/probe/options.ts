// The options of `npm run probe` and what they must be.
import { readFileSync } from 'node:fs'
import { parseArgs } from 'node:util'

export const MEASURES = ['revoke', 'expiry', 'delete'] as const
export type Measure = (typeof MEASURES)[number]

/** Something the person at the keyboard can put right: shown as one sentence, without a stack. */
export class Refusal extends Error {}

export interface ProbeOptions {
  /** The broker's address, without a slash at the end. */
  readonly url: string
  /** An API token of the tenant. */
  readonly token: string
  readonly tenant: string
  /** The TURN key to mint with; absent: the first of the list. */
  readonly key: string | undefined
  readonly measure: Measure | undefined
  /** How long a forbidden credential may go on allocating before that counts as a failure, or a measurement ends. */
  readonly withinSeconds: number
  /** A certificate in PEM that TLS trusts besides those of Node. */
  readonly ca: string | undefined
}

const USAGE =
  'Usage: npm run probe -- --url https://turn.example.com --token … [--key UID] [--measure revoke|expiry|delete] [--within SECONDS] [--ca FILE]. ' +
  'The token may come from TURN_BROKER_TOKEN.'

export function parseOptions(args: readonly string[], environment: NodeJS.ProcessEnv): ProbeOptions {
  const values = parse(args)
  const token = values.token ?? environment.TURN_BROKER_TOKEN ?? ''
  const tenant = /^tb_([a-z0-9][a-z0-9-]{0,31})_/.exec(token)?.[1]
  if (tenant === undefined) throw new Refusal(`--token must be an API token of a tenant. ${USAGE}`)
  const url = values.url ?? environment.TURN_BROKER_URL ?? ''
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) throw new Refusal(`--url must be the broker's address. ${USAGE}`)
  const measure = MEASURES.find((each) => each === values.measure)
  if (values.measure !== undefined && !measure)
    throw new Refusal(`--measure must be one of ${MEASURES.join(', ')}. ${USAGE}`)
  const withinSeconds = Number(values.within ?? (measure ? 7_200 : 30))
  if (!Number.isInteger(withinSeconds) || withinSeconds < 1)
    throw new Refusal(`--within must be a number of seconds. ${USAGE}`)
  return {
    url: url.replace(/\/+$/, ''),
    token,
    tenant,
    key: values.key,
    measure,
    withinSeconds,
    ca: values.ca === undefined ? undefined : certificate(values.ca),
  }
}

function parse(args: readonly string[]) {
  try {
    const text = { type: 'string' } as const
    const options = { url: text, token: text, key: text, measure: text, within: text, ca: text }
    return parseArgs({ args: [...args], options }).values
  } catch (error) {
    throw new Refusal(`${error instanceof Error ? error.message : String(error)}. ${USAGE}`)
  }
}

function certificate(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    throw new Refusal(`--ca: ${file} cannot be read.`)
  }
}
