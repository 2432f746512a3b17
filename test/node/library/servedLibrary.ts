// The browser library as the broker serves it, loaded as a module, and a broker's answers to it. No assertions here.
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { pathToFileURL } from 'node:url'
import { afterAll } from 'vitest'
import type { IceServersClient, IceServersOptions } from '../../../src/client/api.ts'
import { packageJson, textOf } from '../docs/repository.ts'

const folder = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-client-'))
afterAll(() => rmSync(folder, { recursive: true }))

const sha384 = createHash('sha384').update(textOf('public/client.js')).digest()
/** What documents pin, and the version under which the file is served for good. */
export const INTEGRITY = `sha384-${sha384.toString('base64')}`
export const RELEASE = `${packageJson().version}-${sha384.toString('hex').slice(0, 8)}`

/** A module whose import of the library leads to what the broker serves. */
export function load(name: string, source: string): Promise<unknown> {
  const library = path.join(folder, 'library.mjs')
  const file = path.join(folder, name)
  writeFileSync(library, textOf('public/client.js'))
  writeFileSync(file, source.replace("'turn-broker-client'", `'${pathToFileURL(library)}'`))
  return import(/* @vite-ignore */ pathToFileURL(file).href)
}

export interface Library {
  createIceServers: (options: IceServersOptions) => IceServersClient
}

/** What the broker has answered since a test set it to 0. */
export const told = { answers: 0 }

export const answer = (): Response =>
  Response.json(
    {
      iceServers: [{ urls: ['turn:turn.test'], username: `user-${++told.answers}`, credential: 'c' }],
      ttl: 600,
      expiresAt: new Date(Date.now() + 600_000).toISOString(),
      refreshAfter: 300,
      source: 'minted',
    },
    { status: 201 },
  )
