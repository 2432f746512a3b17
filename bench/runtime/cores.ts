// One processor for workerd, another for load and upstream, where Linux's taskset can give them; and processor time.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

/** Linux reports processor time in hundredths of a second, whatever the processor. */
const MS_A_TICK = 10

export interface Cores {
  readonly workerd: number
  readonly load: number
}

/** The first two processors that this process may use; `undefined` with one only, or without taskset. */
export function twoCores(): Cores | undefined {
  try {
    const list = /: (.*)$/m.exec(execFileSync('taskset', ['-cp', String(process.pid)], { encoding: 'utf8' }))?.[1] ?? ''
    const [workerd, load] = list.split(',').flatMap((range) => {
      const [first = 0, last = first] = range.split('-').map(Number)
      return Array.from({ length: last - first + 1 }, (_, n) => first + n)
    })
    return workerd === undefined || load === undefined ? undefined : { workerd, load }
  } catch {
    return
  }
}

/** Moves this process, with all its threads, to one processor. */
export function moveTo(core: number): void {
  execFileSync('taskset', ['-acp', String(core), String(process.pid)], { stdio: 'ignore' })
}

/** User and system time of all threads of a process so far; `undefined` where there is no /proc. */
export function cpuMs(pid: number): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * MS_A_TICK
  } catch {
    return
  }
}
