// Keeps an emulator's state in one JSON file over restarts. It holds TURN key secrets: readable by its owner only,
// replaced in one step.
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { Snapshot } from './state.ts'

const OWNER_ONLY = 0o600

export function readStateFile(file: string): Snapshot | undefined {
  return existsSync(file) ? Snapshot.parse(JSON.parse(readFileSync(file, 'utf8'))) : undefined
}

export function writeStateFile(file: string, snapshot: Snapshot): void {
  const unfinished = `${file}.${process.pid}.tmp`
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(unfinished, `${JSON.stringify(snapshot)}\n`, { mode: OWNER_ONLY })
  renameSync(unfinished, file)
}
