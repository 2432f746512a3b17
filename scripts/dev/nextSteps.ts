// What `npm run dev` prints once all is up: lines to copy, which read the token from its file. Prints no secret.
import path from 'node:path'
import { DEMO_TENANT } from './demoTenant.ts'

export interface NextSteps {
  brokerUrl: string
  emulatorUrl: string
  tokenFile: string
}

const DEFAULT_URL = 'http://127.0.0.1:8787'

export function nextSteps({ brokerUrl, emulatorUrl, tokenFile }: NextSteps): string {
  const token = `$(cat ${shellPath(tokenFile)})`
  const elsewhere = brokerUrl === DEFAULT_URL ? '' : `TURN_BROKER_URL=${brokerUrl} `
  return `
turn-broker is ready: ${brokerUrl} (upstream: the emulator, ${emulatorUrl}). Ctrl-C ends both; their state stays.

The tenant "${DEMO_TENANT}" has an API token. In another terminal:

  TOKEN=${token}
  KEYS=${brokerUrl}/client/v4/accounts/${DEMO_TENANT}/calls/turn_keys

  # create a TURN key
  curl -sS "$KEYS" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"name":"first key"}'; echo

  # list the keys
  curl -sS "$KEYS" -H "Authorization: Bearer $TOKEN"; echo

  # look one up by its uid
  KEY=$(curl -sS "$KEYS" -H "Authorization: Bearer $TOKEN" | sed -nE 's/.*"uid":"([^"]+)".*/\\1/p')
  curl -sS "$KEYS/$KEY" -H "Authorization: Bearer $TOKEN"; echo

The same with Cloudflare's own SDK (examples/sdk.mjs):

  ${elsewhere}TURN_BROKER_TOKEN=${token} npm run example
`
}

/** As it is typed in the project's folder. */
function shellPath(file: string): string {
  const short = path.relative(process.cwd(), file)
  const shown = short.startsWith('..') ? file : short
  return /^[\w./-]+$/.test(shown) ? shown : `'${shown.replaceAll("'", "'\\''")}'`
}
