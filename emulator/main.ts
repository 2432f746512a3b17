// The emulator as a command: `node emulator/main.ts --port 8788 --state FILE`. With TURN_SHARED_SECRET and TURN_URLS
// (comma-separated, stun: and turn: mixed) it hands out logins a running coturn accepts.

import { parseArgs } from 'node:util'
import { startEmulator } from './server.ts'
import type { TurnServer } from './turn/relays.ts'

const { values } = parseArgs({ options: { port: { type: 'string', default: '8788' }, state: { type: 'string' } } })
const turn = turnServer(process.env.TURN_SHARED_SECRET, process.env.TURN_URLS)

const emulator = await startEmulator({
  port: Number(values.port),
  ...(values.state === undefined ? {} : { stateFile: values.state }),
  ...(turn === null ? {} : { turn }),
})
console.log(`emulator ready on ${emulator.url}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void emulator.close().then(() => process.exit(0)))
}

function turnServer(sharedSecret: string | undefined, urlList: string | undefined): TurnServer | null {
  if (!sharedSecret || !urlList) return null
  const all = urlList.split(',').map((url) => url.trim())
  const isStun = (url: string) => /^stuns?:/.test(url)
  return { sharedSecret, stunUrls: all.filter(isStun), urls: all.filter((url) => !isStun(url)) }
}
