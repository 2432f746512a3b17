/** Wrong methods, paths, ids, headers, queries and schemes get their documented 4xx, in the dialect of their door. */
import { env } from 'cloudflare:workers'
import { describe, expect, it } from 'vitest'
import type { Answer } from '../support/broker/answer.ts'
import { type Broker, expectStatus, keysPath, newBroker, ORIGIN } from '../support/broker/broker.ts'
import { outcomeOf, shown } from '../support/broker/contract.ts'
import { emulator } from '../support/broker/upstream.ts'
import { furnish, pathOf, routes } from '../support/contract/callers.ts'

const METHODS = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'PROPFIND']

const patternOf = ({ path }: { path: string }) => new RegExp(`^${path.replace(/:[a-z_]+/g, '[^/]+')}$`)

/** Notes every answer that is not as expected. */
function asker(broker: Broker) {
  const wrong: string[] = []
  const ask = async (what: string, expected: string, answer: Promise<Answer>) => {
    const it = await answer
    if (outcomeOf(it) !== expected) wrong.push(`${what}: ${expected} expected, got ${shown(it)}`)
    return it
  }
  return { ask, wrong, broker }
}

const isCloudflare = (path: string) => path.startsWith('/client/v4/') || path.startsWith('/v1/turn/')
const idempotent = (path: string, key: string) => ({ path, headers: { 'idempotency-key': key } })

describe('a bad request', () => {
  it('A bad request of a wrong method is a 405 that names the right ones, to everybody', async () => {
    const { ask, wrong, broker } = asker(newBroker())
    for (const path of new Set(routes.map(([, route]) => route.path))) {
      const url = pathOf({ path }, {})
      // `search` could also be the id of a subject.
      const right = routes.filter(([, route]) => patternOf(route).test(url)).map(([, { method }]) => method)
      for (const method of METHODS.filter((one) => !right.some((other) => other === one))) {
        if (method === 'HEAD' && right.includes('GET')) continue
        const expected = method === 'HEAD' ? '405 -' : `405 ${isCloudflare(path) ? 31007 : 'method_not_allowed'}`
        const answer = await ask(`${method} ${path}`, expected, broker.send(url, { method }))
        if (answer.headers.get('allow') !== right.join(', ')) wrong.push(`${method} ${path}: Allow in ${shown(answer)}`)
      }
    }
    expect(wrong).toEqual([])
  })

  it('A bad request of an unknown path is a 404', async () => {
    const { ask, wrong, broker } = asker(newBroker())
    const acme = await furnish(broker, 'acme')
    const keys = keysPath('acme')
    const paths = [
      ...['/', '//', '/v1', '/v1/', '/v1/tenants', '/v1/admin', '/client/v4', '/index.html', '/.env', '/healthz/'],
      ...['/HEALTHZ', '/healthz.json', '/healthz%00', '/v1/tenants/acme/', '/v1/tenants//', '/v1/tenants/acme/x'],
      ...['/v1/admin/tenants/', '/v1/admin/tenants/acme/api-tokens/', '/v1/admin/tenants/acme/api-token'],
      ...[`/${keys}`, `${keys}/`, `${keys}/${acme.keyId}/`, `${keys}/${acme.keyId}/x`, keys.toUpperCase()],
      ...[keysPath(''), keys.replace('/calls', '//calls'), `${keys}%2F${acme.keyId}`, `${keys};x/${acme.keyId}`],
      ...['/client/v4/', '/client/v4/accounts', '/client/v4/accounts/acme', '/client/v4/user/tokens/verify'],
      ...['/v1/turn/keys', '/v1/turn/x', `/${'a'.repeat(8_000)}`, '/%', '/%ff', '/%00', '/%e0%a4%a', '/\u202e'],
    ]
    for (const path of paths) {
      for (const token of [acme.token, env.ADMIN_TOKEN, undefined]) {
        const expected = `404 ${isCloudflare(path) ? 7003 : 'not_found'}`
        await ask(path, expected, broker.call('GET', ORIGIN + path, token))
      }
    }
    expect(wrong).toEqual([])
  })

  it('A bad request of an id that cannot be one is the 404 of one that is not there', async () => {
    const read: string[] = []
    const get = (key: string, options: KVNamespaceGetOptions<'json'>) => {
      read.push(key)
      return env.CACHE.get(key, options)
    }
    const { ask, wrong, broker } = asker(newBroker({ CACHE: { get } }))
    const acme = await furnish(broker, 'acme')
    expectStatus(await broker.call('GET', keysPath('acme', acme.keyId), acme.token), 200)
    await emulator.clearLog()
    read.length = 0
    const ids = [
      ...['x', 'k'.repeat(31), 'k'.repeat(33), `${'k'.repeat(31)}%00`, `${'k'.repeat(32)}%0a`, `${'k'.repeat(31)}.`],
      ...['%2e%2e%2f%2e%2e%2f', '..%5c', '%E0%A4%A', '%ff', '%00', "'%20OR%201=1--", `${acme.keyId}%20`, 'a:b'],
      ...['__proto__', 'constructor', '%F0%9F%94%91', acme.keyId.slice(1), `${acme.keyId}%2fx`, '*', '%3Fx', '%23'],
    ]
    for (const id of ids) {
      for (const method of ['GET', 'DELETE', 'PUT'] as const) {
        const body = method === 'PUT' ? { name: 'x' } : undefined
        for (const token of [acme.token, env.ADMIN_TOKEN]) {
          const path = keysPath('acme', id)
          await ask(`${method} key ${id}`, '404 20008', broker.call(method, path, token, body))
        }
      }
      const own = `/v1/tenants/${id}`
      await ask(`tenant ${id}`, '404 not_found', broker.call('GET', own, acme.token))
      for (const path of [`/tenants/${id}`, `/tenants/acme/api-tokens/${id}/roll`]) {
        const [method, body] = path.endsWith('roll') ? ['POST', {}] : ['GET', undefined]
        await ask(path, '404 not_found', broker.admin(method as string, path, body))
      }
    }
    expect(wrong).toEqual([])
    expect(await emulator.log()).toEqual([])
    expect(read, 'no entry of such a key was looked for').toEqual([])
  })

  it('A bad request with a bad Idempotency-Key is a 400 where one counts, and goes on where none does', async () => {
    const { ask, wrong, broker } = asker(newBroker())
    const acme = await furnish(broker, 'acme')
    const tokens = '/v1/admin/tenants/acme/api-tokens'
    const counting = [
      { path: keysPath('acme'), token: acme.token, body: {}, refused: '400 31001' },
      { path: '/v1/admin/tenants', token: env.ADMIN_TOKEN, body: { id: 'b', name: 'B', region: 'me' } },
      { path: tokens, token: env.ADMIN_TOKEN, body: { name: 'b', scopes: ['usage:read'] } },
    ]
    for (const { path, token, body, refused = '400 invalid_request' } of counting) {
      for (const key of ['', 'two words', 'one, two', 'x'.repeat(256), 'tab\there', '\u007f']) {
        const { headers } = idempotent(path, key)
        await ask(`${path} ${key}`, refused, broker.call('POST', path, token, body, headers))
      }
      const { headers } = idempotent(path, '!'.repeat(255))
      await ask(`${path}, 255 characters`, '201', broker.call('POST', path, token, body, headers))
    }
    const { path, headers } = idempotent(`${tokens}/${acme.tokenId}/roll`, 'two words')
    await ask('roll', '200', broker.call('POST', path, env.ADMIN_TOKEN, {}, headers))
    expect(wrong).toEqual([])
  })

  it('A bad request with a bad limit is a 400', async () => {
    const { ask, wrong, broker } = asker(newBroker())
    expectStatus(await broker.admin('POST', '/tenants', { id: 'acme', name: 'A', region: 'weur' }), 201)
    for (const list of ['/tenants', '/tenants/acme/api-tokens']) {
      for (const limit of [
        '0',
        '-1',
        '101',
        '1000',
        '1.5',
        '1e1',
        '0x10',
        '01',
        '+1',
        '%201',
        'all',
        '',
        '9'.repeat(30),
      ]) {
        const path = `${list}?limit=${limit}`
        await ask(path, '400 invalid_request', broker.admin('GET', path))
      }
      for (const limit of ['1', '50', '100']) {
        const path = `${list}?limit=${limit}`
        await ask(path, '200', broker.admin('GET', path))
      }
    }
    expect(wrong).toEqual([])
  })

  it('A bad request over http is refused, unless it is of this machine and for it', async () => {
    const { ask, wrong, broker } = asker(newBroker())
    const acme = await furnish(broker, 'acme')
    await emulator.clearLog()
    const foreign = [
      ...['broker.test', 'localhost.broker.test', '127.0.0.1.nip.io', 'localhost.', '0.0.0.0', '10.0.0.1', '[::]'],
      ...['192.168.1.1', '169.254.169.254', '[fe80::1]', '[::ffff:127.0.0.1]', 'localhost@evil.test', '128.0.0.1'],
    ]
    const local = ['localhost', 'localhost:8787', '127.0.0.1', '127.0.0.1:8787', '127.9.9.9', '[::1]', '[::1]:8787']
    const paths: [string, string][] = [
      ['/healthz', 'https_required'],
      ['/readyz', 'https_required'],
      ['/nowhere', 'https_required'],
      ['/v1/tenants/acme', 'https_required'],
      ['/v1/admin/tenants', 'https_required'],
      [keysPath('acme'), '31006'],
      [keysPath('acme', acme.keyId), '31006'],
    ]
    const over = (host: string, path: string, token: string, headers: Record<string, string> = {}) =>
      broker.call('GET', `http://${host}${path}`, token, undefined, headers)
    for (const [path, code] of paths) {
      for (const host of foreign) {
        for (const token of [acme.token, env.ADMIN_TOKEN, 'junk']) {
          await ask(`http://${host}${path}`, `403 ${code}`, over(host, path, token))
        }
      }
      // A page in a browser on this machine, or a tunnel to it: the host is right, the caller is not.
      for (const from of ['203.0.113.7', '2001:db8::1', '10.0.0.1', 'localhost.evil.test', '']) {
        const headers = { 'cf-connecting-ip': from }
        await ask(`from ${from}`, `403 ${code}`, over('localhost', path, acme.token, headers))
      }
    }
    for (const host of local) {
      for (const headers of [{}, { 'cf-connecting-ip': '127.0.0.1' }, { 'cf-connecting-ip': '::1' }]) {
        await ask(`http://${host}`, '200', over(host, keysPath('acme'), acme.token, headers))
      }
    }
    expect(wrong).toEqual([])
    expect(await emulator.log()).toEqual([])
  })
})
