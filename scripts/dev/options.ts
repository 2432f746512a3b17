// The options of `npm run dev` and what they must be. Knows nothing of what is started with them.

import path from 'node:path'
import { parseArgs } from 'node:util'
import { isFree } from '../../emulator/turn/ports.ts'
import { projectRoot } from '../quiet-wrangler.ts'

export const LOOPBACK = '127.0.0.1'

/** Something the person at the keyboard can put right: shown as one sentence, without a stack. */
export class Refusal extends Error {}

const USAGE =
  'Usage: npm run dev -- [--port N] [--emulator-port N] [--demo-port N] [--turn-port N] [--state DIR] [--quiet]'

export interface DevOptions {
  port: number
  emulatorPort: number
  demoPort: number
  /** Of coturn, where it is installed. */
  turnPort: number
  stateFolder: string
  /** Shows no line for a request. */
  quiet: boolean
}

export function parseOptions(args: string[]): DevOptions {
  const { values } = parse(args)
  return {
    port: portNumber('port', values.port),
    emulatorPort: portNumber('emulator-port', values['emulator-port']),
    demoPort: portNumber('demo-port', values['demo-port']),
    turnPort: portNumber('turn-port', values['turn-port']),
    stateFolder: path.resolve(projectRoot, values.state),
    quiet: values.quiet,
  }
}

type PortOption = 'port' | 'emulator-port' | 'demo-port' | 'turn-port'

export async function refuseBusyPort(option: PortOption, port: number): Promise<void> {
  if (!(await isFree(port)))
    throw new Refusal(`Port ${port} is in use: stop what listens there, or choose another with --${option} N.`)
}

function parse(args: string[]) {
  try {
    return parseArgs({
      args,
      options: {
        port: { type: 'string', default: '8787' },
        'emulator-port': { type: 'string', default: '8788' },
        'demo-port': { type: 'string', default: '8789' },
        'turn-port': { type: 'string', default: '8790' },
        state: { type: 'string', default: '.wrangler/turn-broker' },
        quiet: { type: 'boolean', default: false },
      },
    })
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new Refusal(`${reason}. ${USAGE}`)
  }
}

function portNumber(option: string, text: string): number {
  const port = Number(text)
  if (!/^[1-9][0-9]{0,4}$/.test(text) || port > 65_535) throw new Refusal(`--${option} must be a port, 1 to 65535.`)
  return port
}
