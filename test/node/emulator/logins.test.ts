// The database of logins that coturn reads, while another process holds its lock.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { expect, it } from 'vitest'
import { Logins } from '../../../emulator/turn/logins.ts'

/** Holds the write lock for a moment, as coturn does at its start while it creates its tables. */
const LOCKS = `
  const { DatabaseSync } = require('node:sqlite')
  const database = new DatabaseSync(process.argv[1])
  database.exec('BEGIN IMMEDIATE')
  console.log('locked')
  setTimeout(() => database.exec('COMMIT'), 200)`

it('A login is written also while coturn writes to its database', async () => {
  const folder = mkdtempSync(path.join(tmpdir(), 'turn-broker-logins-'))
  const file = path.join(folder, 'turndb')
  const logins = new Logins(file, 'realm')
  const other = spawn(process.execPath, ['-e', LOCKS, file], { stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(other, 'exit')
  await once(other.stdout, 'data')
  logins.add({ username: 'alice', credential: 'secret' }, Date.now() + 60_000)
  await ended
  const database = new DatabaseSync(file)
  expect(database.prepare('SELECT realm, name FROM turnusers_lt').all()).toEqual([{ realm: 'realm', name: 'alice' }])
  database.close()
  logins.close()
  rmSync(folder, { recursive: true, force: true })
})
