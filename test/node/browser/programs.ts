// The browsers of the machine. Chromium is driven; Firefox from Debian cannot be, so it opens a page that tells of itself.
import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { type Browser, type BrowserContext, chromium } from 'playwright-core'

export const CHROMIUM = process.env.CHROMIUM_PATH ?? '/usr/bin/chromium'
const FIREFOX = process.env.FIREFOX_PATH ?? '/usr/bin/firefox-esr'

export const chromiumIsInstalled = () => existsSync(CHROMIUM)
export const firefoxIsInstalled = () => existsSync(FIREFOX)

const FLAGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--allow-loopback-in-peer-connection',
  '--disable-features=WebRtcHideLocalIpsWithMdns',
]
/** Every host but loopback is a dead end. `mapped`: hosts with their port, and where they are instead. */
const hostRules = (mapped: Record<string, string>) =>
  `--host-resolver-rules=${Object.entries(mapped)
    .map(([host, at]) => `MAP ${host} ${at}, `)
    .join('')}MAP * ~NOTFOUND, EXCLUDE 127.0.0.1`

export const launchChromium = (mapped: Record<string, string> = {}): Promise<Browser> =>
  chromium.launch({ executablePath: CHROMIUM, args: [...FLAGS, hostRules(mapped)] })

/** Chromium with a new profile in this folder and these unpacked extensions, each a folder. */
export const launchWithExtensions = (profile: string, folders: readonly string[]): Promise<BrowserContext> =>
  chromium.launchPersistentContext(profile, {
    executablePath: CHROMIUM,
    ignoreDefaultArgs: ['--disable-extensions'],
    args: [...FLAGS, hostRules({}), `--disable-extensions-except=${folders}`, `--load-extension=${folders}`],
  })

/** Nothing but loopback: candidates of it are gathered, and every other host is a dead end. */
const PREFERENCES = {
  'media.peerconnection.ice.loopback': true,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'network.proxy.type': 1,
  'network.proxy.http': '127.0.0.1',
  'network.proxy.http_port': 9,
  'network.proxy.share_proxy_settings': true,
  'network.proxy.no_proxies_on': '127.0.0.1',
  'browser.shell.checkDefaultBrowser': false,
  // An extension in the profile counts from the first start, and needs no signature.
  'xpinstall.signatures.required': false,
  'extensions.autoDisableScopes': 0,
  'extensions.startupScanScopes': 1,
  'datareporting.policy.dataSubmissionEnabled': false,
}

/** Opens the page in a Firefox with a new profile, and in it this extension by its id; ends with `close`. */
export function openInFirefox(url: string, extension?: { id: string; file: Buffer }): { close(): Promise<void> } {
  const profile = mkdtempSync(path.join(os.tmpdir(), 'turn-broker-firefox-'))
  const lines = Object.entries(PREFERENCES).map(
    ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});`,
  )
  writeFileSync(path.join(profile, 'user.js'), lines.join('\n'))
  if (extension) {
    mkdirSync(path.join(profile, 'extensions'))
    writeFileSync(path.join(profile, 'extensions', `${extension.id}.xpi`), extension.file)
  }
  // A group of its own: Firefox is many processes.
  const options = { stdio: 'ignore', detached: true, env: { ...process.env, HOME: profile } } as const
  const firefox = spawn(FIREFOX, ['--headless', '--no-remote', '--profile', profile, url], options)
  return {
    async close() {
      await ended(firefox)
      rmSync(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

async function ended(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null) return
  const exit = new Promise((resolve) => child.once('exit', resolve))
  process.kill(-child.pid, 'SIGKILL')
  await exit
}
