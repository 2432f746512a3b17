// What runs on this machine, as /proc tells it; where there is none, as ps does. No assertions here.
import { execFileSync } from 'node:child_process'
import { existsSync, readdirSync, readFileSync } from 'node:fs'

export interface RunningProcess {
  pid: number
  parent: number
  group: number
}

/** What runs on this machine; what has ended and was only not yet collected does not. */
export function runningProcesses(): RunningProcess[] {
  const rows = existsSync('/proc/self/stat')
    ? readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [[name, ...statOf(name)]] : []))
    : execFileSync('ps', ['-A', '-o', 'pid=,stat=,ppid=,pgid='], { encoding: 'utf8' })
        .split('\n')
        .map((line) => line.trim().split(/\s+/))
  return rows
    .filter((row) => row.length >= 4 && !row[1]?.startsWith('Z'))
    .map(([pid, , parent, group]) => ({ pid: Number(pid), parent: Number(parent), group: Number(group) }))
}

/** Every process of a group, and those they started, in whatever group. */
export function processesOf(group: number | undefined): number[] {
  const all = runningProcesses()
  const found = all.filter((one) => one.group === group).map(({ pid }) => pid)
  for (const pid of found) {
    const children = all.filter((one) => one.parent === pid && !found.includes(one.pid))
    found.push(...children.map((child) => child.pid))
  }
  return found
}

/** What a process holds of the machine's memory. */
export const residentBytes = (pid: number): number =>
  Number(execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' })) * 1_024

/** State, parent and group out of /proc/{pid}/stat, whose second field may hold anything in parentheses. */
function statOf(pid: string): string[] {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return text.slice(text.lastIndexOf(')') + 2).split(' ')
  } catch {
    return [] // it ended meanwhile
  }
}
