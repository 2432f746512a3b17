// Servers that ask the broker by themselves, configured as docs/integrations.md says: Janus, Prosody with the module that stands
// there, and an nginx in front of a played Synapse. Each is asked by a client of its own protocol.
import { globSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { SaxesParser } from 'saxes'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RTCPeerConnection } from 'werift'
import { freePort } from '../../../emulator/turn/ports.ts'
import { areInstalled, NGINX, newFolder, type Surroundings, start, startSurroundings } from './foreign.ts'
import { XmppClient } from './xmppClient.ts'

/** Debian has a folder for each architecture. */
const [JANUS_MODULES = ''] = globSync('/usr/lib/*/janus')
const hasCoturn = areInstalled('coturn')

describe.skipIf(!hasCoturn)('servers that ask by themselves', () => {
  let around: Surroundings
  beforeAll(async () => {
    around = await startSurroundings()
  })
  afterAll(() => around?.stop())

  const newest = async () => {
    const { credentials } = await around.broker.emulator.secrets()
    return credentials.at(-1) ?? { username: '', credential: '' }
  }

  describe.skipIf(!areInstalled('janus'))('Janus', () => {
    it.each([
      ['POST', ''],
      ['GET', ''],
      ['POST', 'turn_rest_api_key = "a-key"'],
      ['GET', 'turn_rest_api_key = "a-key"'],
    ])('Janus allocates a relay by %s, with its login in the URL and %s', async (method, more) => {
      const folder = newFolder()
      const port = await freePort()
      const written = around.written('Janus', 'jcfg').replace('"POST"', `"${method}"\n${more}`)
      writeFileSync(
        path.join(folder.path, 'janus.jcfg'),
        `general: { configs_folder = "${folder.path}", plugins_folder = "${JANUS_MODULES}/plugins"
           transports_folder = "${JANUS_MODULES}/transports", debug_level = 3, server_name = "proof" }
         plugins: { disable = "libjanus_lua.so,libjanus_duktape.so,libjanus_sip.so,libjanus_nosip.so" }
         transports: { disable = "libjanus_websockets.so,libjanus_pfunix.so,libjanus_mqtt.so,libjanus_rabbitmq.so,libjanus_nanomsg.so" }
         media: { ipv6 = false }
         ${written}`,
      )
      writeFileSync(
        path.join(folder.path, 'janus.transport.http.jcfg'),
        `general: { http = true, https = false, ip = "127.0.0.1", port = ${port}, base_path = "/janus" }`,
      )
      const janus = start('janus', ['-F', folder.path, '--disable-colors'])
      try {
        const url = `http://127.0.0.1:${port}/janus`
        await expect
          .poll(
            () =>
              fetch(`${url}/info`).then(
                ({ status }) => status,
                () => 0,
              ),
            { timeout: 10_000 },
          )
          .toBe(200)
        const answer = await echoTest(url)
        expect(answer).toMatch(/^a=candidate:.+ typ relay /m)
        expect(await around.relayed()).toContain((await newest()).username)
        // Janus names its user, and at this level does not log the address it asks.
        expect(await subjectOfNewest(around)).toMatch(/^su_/)
        expect(janus.output()).not.toContain(around.token)
      } finally {
        await janus.stop()
        folder.remove()
      }
    })
  })

  it.skipIf(!areInstalled('prosody'))(
    'Prosody answers XEP-0215 with the services of the broker, by the module of the page',
    async () => {
      const folder = newFolder()
      const port = await freePort()
      const modules = path.join(folder.path, 'modules')
      mkdirSync(modules)
      writeFileSync(path.join(modules, 'mod_turn_broker.lua'), around.written('Prosody and Jitsi', 'lua'))
      writeFileSync(
        path.join(folder.path, 'prosody.cfg.lua'),
        `run_as_root = true
       pidfile = "${folder.path}/prosody.pid"
       data_path = "${folder.path}"
       plugin_paths = { "${modules}" }
       log = { { levels = { min = "info" }, to = "console" } }
       interfaces = { "127.0.0.1" }
       c2s_ports = { ${port} }
       c2s_require_encryption = false
       modules_disabled = { "s2s" }
       VirtualHost "meet.test"
         authentication = "anonymous"
         ${around.written('Prosody and Jitsi', 'prosody').replace('{ "ext', '{ "saslauth", "ext')}`,
      )
      const prosody = start('prosody', ['-F', '--config', path.join(folder.path, 'prosody.cfg.lua')])
      let client: XmppClient | undefined
      try {
        await prosody.prints(/Activated service 'c2s'/)
        client = new XmppClient(port, 'meet.test')
        await client.login()
        const answer = await client.ask('<services xmlns="urn:xmpp:extdisco:2"/>')
        const services = elementsOf(answer).filter(({ name }) => name === 'service')
        const { username, credential: password } = await newest()
        const turn = { host: '127.0.0.1', username, password, restricted: '1', expires: expect.stringMatching(/Z$/) }
        expect(services.map(({ attributes }) => attributes)).toEqual([
          { type: 'stun', host: '127.0.0.1', port: expect.any(String), transport: 'udp' },
          { type: 'turn', port: expect.any(String), transport: 'udp', ...turn },
          { type: 'turn', port: expect.any(String), transport: 'tcp', ...turn },
        ])
        const { port: turnPort } = services.at(-1)?.attributes ?? {}
        const one = await client.ask(
          `<credentials xmlns="urn:xmpp:extdisco:2"><service type="turn" host="127.0.0.1" port="${turnPort}"/></credentials>`,
        )
        const logins = elementsOf(one).filter(({ name }) => name === 'service')
        expect(logins.map((each) => each.attributes.username)).toEqual(Array(2).fill((await newest()).username))
        expect(await subjectOfNewest(around)).toMatch(/^su_/)
      } catch (error) {
        throw new Error(`${String(error)}\n${prosody.output()}`)
      } finally {
        client?.close()
        await prosody.stop()
        folder.remove()
      }
    },
  )

  it.skipIf(!areInstalled('nginx-light'))(
    'Nginx in front of Synapse answers voip/turnServer to users of Synapse, and to no stranger',
    async () => {
      const folder = newFolder()
      const asked: string[] = []
      const synapse = createServer((request, response) => {
        asked.push(`${request.method} ${request.url}`)
        const isUser = request.headers.authorization === 'Bearer matrix-token'
        response.writeHead(request.method === 'OPTIONS' || isUser ? 200 : 401).end('{}')
      })
      await new Promise<void>((resolve) => synapse.listen(0, '127.0.0.1', resolve))
      const { port: synapsePort } = synapse.address() as AddressInfo // of a server that listens on TCP
      const port = await freePort()
      const locations = around.written('Synapse', 'nginx').replaceAll('127.0.0.1:8008', `127.0.0.1:${synapsePort}`)
      const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map(
        (n) => `${n}_temp_path ${folder.path}/${n};`,
      )
      writeFileSync(
        path.join(folder.path, 'nginx.conf'),
        `daemon off; pid ${folder.path}/pid; error_log stderr notice; user root; events {}
       http { access_log off; ${temporary.join(' ')} server { listen 127.0.0.1:${port}; ${locations} } }`,
      )
      const nginx = start(NGINX, ['-c', path.join(folder.path, 'nginx.conf'), '-p', folder.path])
      const at = `http://127.0.0.1:${port}/_matrix/client/v3/voip/turnServer`
      try {
        await nginx.prints(/start worker process/)
        const headers = { authorization: 'Bearer matrix-token' }
        for (const query of ['', '?format=uri&access_token=x']) {
          const answer = await fetch(at + query, { headers })
          const text = await answer.text()
          expect(answer.status, text + nginx.output()).toBe(200)
          expect(answer.headers.get('access-control-allow-origin')).toBe('*')
          const { username, credential: password } = await newest()
          expect(JSON.parse(text)).toEqual({ username, password, ttl: expect.any(Number), uris: expect.any(Array) })
        }
        const before = (await around.broker.emulator.secrets()).credentials.length
        for (const stranger of [{}, { authorization: 'Bearer other' }, { authorization: `Bearer ${around.token}` }])
          expect((await fetch(at, { headers: stranger })).status).toBe(401)
        expect((await fetch(at, { method: 'OPTIONS' })).status).toBe(200)
        expect((await around.broker.emulator.secrets()).credentials).toHaveLength(before)
        const whoami = 'GET /_matrix/client/v3/account/whoami'
        expect(asked).toEqual([...Array(5).fill(whoami), 'OPTIONS /_matrix/client/v3/voip/turnServer'])
      } finally {
        await nginx.stop()
        synapse.closeAllConnections()
        synapse.close()
        folder.remove()
      }
    },
  )
})

/** The SDP with which Janus's echo test answers an offer, once it has gathered its candidates. */
async function echoTest(url: string): Promise<string> {
  const send = async (at: string, body: object) => {
    const response = await fetch(at, { method: 'POST', body: JSON.stringify({ transaction: 'proof', ...body }) })
    return (await response.json()) as { data?: { id: number } } // Janus's own format
  }
  const session = `${url}/${(await send(url, { janus: 'create' })).data?.id}`
  const handle = `${session}/${(await send(session, { janus: 'attach', plugin: 'janus.plugin.echotest', opaque_id: 'alice' })).data?.id}`
  const peer = new RTCPeerConnection()
  peer.addTransceiver('audio')
  await peer.setLocalDescription(await peer.createOffer())
  const jsep = { type: 'offer', sdp: peer.localDescription?.sdp }
  await send(handle, { janus: 'message', body: { audio: true, video: false }, jsep })
  try {
    for (let event = 0; event < 5; event++) {
      const answer = (await (await fetch(session)).json()) as { jsep?: { sdp: string } } // Janus's own format
      if (answer.jsep) return answer.jsep.sdp
    }
    throw new Error('Janus does not answer')
  } finally {
    await peer.close()
  }
}

/** The subject of the newest credential; `null`: it has none. */
async function subjectOfNewest({ broker, token }: Surroundings): Promise<string | null | undefined> {
  const headers = { authorization: `Bearer ${token}` }
  const response = await fetch(`${broker.url}/v1/tenants/acme/credentials?limit=1`, { headers })
  const { items } = (await response.json()) as { items: { subjectId: string | null }[] } // the contract is checked elsewhere
  return items[0]?.subjectId
}

function elementsOf(xml: string): { name: string; attributes: Record<string, string> }[] {
  const elements: { name: string; attributes: Record<string, string> }[] = []
  const parser = new SaxesParser()
  parser.on('opentag', ({ name, attributes }) => elements.push({ name, attributes: { ...attributes } }))
  parser.write(xml).close()
  return elements
}
