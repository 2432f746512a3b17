// Ports of this machine: which are free, and on which somebody listens.
import { randomInt } from 'node:crypto'
import { connect, createServer } from 'node:net'

const HOST = '127.0.0.1'
const FROM = 20_000
const BELOW = 32_768

/**
 * All different, for programs that get their port as an argument and listen on it only seconds later. Below those that systems give
 * to outgoing connections (from 32768 on Linux, 49152 elsewhere), which would be somebody else's by then.
 */
export async function freePorts(count: number): Promise<number[]> {
  const found = new Set<number>()
  while (found.size < count) {
    const port = randomInt(FROM, BELOW)
    if (await isFree(port)) found.add(port)
  }
  return [...found]
}

export async function freePort(): Promise<number> {
  const [port] = await freePorts(1)
  return port as number // as many as were asked for
}

export function isFree(port: number): Promise<boolean> {
  const probe = createServer()
  return new Promise((resolve) => {
    probe.once('error', () => resolve(false))
    probe.listen(port, HOST, () => probe.close(() => resolve(true)))
  })
}

export const listens = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connect(port, HOST)
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
