// The emulator as a command: `node emulator/main.ts --port 8788 --state FILE`. With `--coturn` a coturn runs beside it, and what
// the emulator hands out relays.

import { parseArgs } from 'node:util'
import { startEmulator } from './server.ts'
import { startTurnServer } from './turn/turnServer.ts'

const { values } = parseArgs({
  options: {
    port: { type: 'string', default: '8788' },
    state: { type: 'string' },
    coturn: { type: 'boolean', default: false },
  },
})
const turnServer = values.coturn ? await startTurnServer() : null

const emulator = await startEmulator({
  port: Number(values.port),
  ...(values.state === undefined ? {} : { stateFile: values.state }),
  ...(turnServer === null ? {} : { turn: turnServer.turn }),
})
console.log(`emulator ready on ${emulator.url}`)

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void Promise.all([emulator.close(), turnServer?.close()]).then(() => process.exit(0)))
}
