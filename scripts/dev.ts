// `npm run dev`: the broker on this machine without a Cloudflare account. Starts the emulator in this process and
// `wrangler dev` beside it, seeds a demo tenant, says what to do next, and ends all of it together.
import { mkdirSync } from 'node:fs'
import path from 'node:path'
import { startEmulator } from '../emulator/server.ts'
import { startTurnServer, turnServerIsInstalled } from '../emulator/turn/turnServer.ts'
import { Broker } from './dev/broker.ts'
import { type Demo, startDemo } from './dev/demo/server.ts'
import { DEMO_TENANT, seedDemoTenant } from './dev/demoTenant.ts'
import { writeDevConfig } from './dev/devConfig.ts'
import { localSecrets } from './dev/localSecrets.ts'
import { nextSteps } from './dev/nextSteps.ts'
import { LOOPBACK, parseOptions, Refusal, refuseBusyPort } from './dev/options.ts'
import { requestLines } from './dev/requestLines.ts'

const OWNER_ONLY_FOLDER = 0o700
const PARENT_CHECK_MS = 250

try {
  process.exitCode = await dev()
} catch (error) {
  if (!(error instanceof Refusal)) throw error
  console.error(error.message)
  process.exitCode = 1
}

/** Runs until something ends it; answers the exit code. */
async function dev(): Promise<number> {
  const { port, emulatorPort, demoPort, turnPort, stateFolder, quiet } = parseOptions(process.argv.slice(2))
  const relays = turnServerIsInstalled()
  await refuseBusyPort('port', port)
  await refuseBusyPort('emulator-port', emulatorPort)
  await refuseBusyPort('demo-port', demoPort)
  if (relays) await refuseBusyPort('turn-port', turnPort)
  mkdirSync(stateFolder, { recursive: true, mode: OWNER_ONLY_FOLDER })

  const { secrets, made } = localSecrets()
  if (made.length > 0) console.log(`Generated ${made.join(', ')} in .dev.vars: this machine only, never commit it.`)
  console.log('Starting the emulator and the broker …')

  const turnServer = relays ? await startTurnServer({ port: turnPort }) : undefined
  const emulator = await startEmulator({
    port: emulatorPort,
    host: LOOPBACK,
    apiToken: secrets.CALLS_API_TOKEN,
    stateFile: path.join(stateFolder, 'emulator.json'),
    ...(turnServer === undefined ? {} : { turn: turnServer.turn }),
  })
  const broker = new Broker({
    port,
    persistTo: stateFolder,
    shown: requestLines({ quiet }),
    config: writeDevConfig(),
    vars: { CLOUDFLARE_API_URL: `${emulator.url}/client/v4`, CLOUDFLARE_RTC_URL: `${emulator.url}/v1` },
  })
  try {
    const stopped = untilStopped()
    const code = await Promise.race([
      stopped,
      serve(broker, { emulatorUrl: emulator.url, turnUrl: turnServer?.turn.urls[0], demoPort, stateFolder, secrets }),
    ])
    if (code !== 0) console.error(`wrangler dev ended with code ${code}.`)
    return code
  } finally {
    await Promise.all([broker.stop(), emulator.close(), turnServer?.close()])
  }
}

interface Surroundings {
  emulatorUrl: string
  turnUrl: string | undefined
  demoPort: number
  stateFolder: string
  secrets: { ADMIN_TOKEN: string }
}

/** Seeds and serves until wrangler ends by itself; answers its exit code. */
async function serve(broker: Broker, surroundings: Surroundings): Promise<number> {
  const { emulatorUrl, turnUrl, demoPort, stateFolder, secrets } = surroundings
  const tokenFile = path.join(stateFolder, 'demo-token')
  let demo: Demo
  try {
    await broker.untilReady()
    const origins = [LOOPBACK, 'localhost'].map((host) => `http://${host}:${demoPort}`)
    const apiToken = await seedDemoTenant({
      brokerUrl: broker.url,
      adminToken: secrets.ADMIN_TOKEN,
      tokenFile,
      origins,
    })
    demo = await startDemo({
      port: demoPort,
      brokerUrl: broker.url,
      emulatorUrl,
      tenant: DEMO_TENANT,
      apiToken,
      adminToken: secrets.ADMIN_TOKEN,
      relays: turnUrl !== undefined,
    })
  } catch (error) {
    broker.showOutput()
    throw error
  }
  broker.forgetOutput()
  console.log(nextSteps({ brokerUrl: broker.url, emulatorUrl, turnUrl, demoUrl: demo.url, tokenFile }))
  return broker.ended.finally(() => demo.close())
}

/** Resolves to 0 on Ctrl-C and its kin, and when npm is gone: npm keeps a SIGTERM to itself. */
function untilStopped(): Promise<number> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => resolve(0))
    const parent = process.ppid
    const startedByNpm = process.env.npm_lifecycle_event !== undefined
    if (startedByNpm) setInterval(() => process.ppid !== parent && resolve(0), PARENT_CHECK_MS).unref()
  })
}
