// Tests commit to real storage by the thousand, and each commit waits for the disk: where Linux offers files in memory, with
// room, what they keep for a run lies there. All of it is gone when the run ends, what a killed program left too.
import { existsSync, mkdtempSync, rmSync, statfsSync } from 'node:fs'
import path from 'node:path'

const IN_MEMORY = '/dev/shm'
const ROOM_BYTES = 2 * 1_024 ** 3

export function keepFilesInMemory(): void {
  if (!existsSync(IN_MEMORY)) return
  const { bavail, bsize } = statfsSync(IN_MEMORY)
  if (bavail * bsize < ROOM_BYTES) return
  const folder = mkdtempSync(path.join(IN_MEMORY, 'turn-broker-'))
  process.env.TMPDIR = folder
  process.once('exit', () => rmSync(folder, { recursive: true, force: true }))
}
