// What `npm run dev` prints once all is up: lines to copy, which read the token from its file. Prints no secret.
import path from 'node:path'
import { installCoturn } from './coturn.ts'
import { DEMO_TENANT } from './demoTenant.ts'

export interface NextSteps {
  brokerUrl: string
  emulatorUrl: string
  /** Of the TURN server that runs beside it; `undefined`: none is installed. */
  turnUrl: string | undefined
  /** The demo page. */
  demoUrl: string
  tokenFile: string
}

const DEFAULT_URL = 'http://127.0.0.1:8787'

export function nextSteps({ brokerUrl, emulatorUrl, turnUrl, demoUrl, tokenFile }: NextSteps): string {
  const token = `$(cat ${shellPath(tokenFile)})`
  const elsewhere = brokerUrl === DEFAULT_URL ? '' : `TURN_BROKER_URL=${brokerUrl} `
  const install = installCoturn()
  const missing = `coturn is not installed: nothing relays${install === null ? '' : `; to install it: ${install}`}`
  const relay = turnUrl === undefined ? missing : `coturn relays at ${turnUrl}`
  return `
turn-broker is ready: ${brokerUrl} (upstream: the emulator, ${emulatorUrl}; ${relay}).
Ctrl-C ends all of it; its state stays.

See it at work in a browser: ${demoUrl}

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

What a back end does for a browser, and what the browser does then:

  # a client token for one of your users (the back end)
  CLIENT_TOKEN=$(curl -sS ${brokerUrl}/v1/tenants/${DEMO_TENANT}/client-tokens -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{"subject":"alice"}' | sed -nE 's/.*"token":"([^"]+)".*/\\1/p')

  # ICE servers for new RTCPeerConnection() (the browser: a form, so that there is no preflight)
  curl -sS ${brokerUrl}/v1/tenants/${DEMO_TENANT}/ice-servers -d "access_token=$CLIENT_TOKEN" -d ttl=600

  # as Cloudflare's own credential API answers (a back end)
  curl -sS ${brokerUrl}/v1/turn/keys/$KEY/credentials/generate-ice-servers -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{"ttl":600,"customIdentifier":"alice"}'

  # take back everything alice has
  curl -sS ${brokerUrl}/v1/tenants/${DEMO_TENANT}/revocations -H "Authorization: Bearer $TOKEN" \\
    -H 'Content-Type: application/json' -d '{"subject":"alice"}'

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
