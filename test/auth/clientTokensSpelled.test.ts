/** Client tokens whose claims are of another kind, or whose text is another: the same 401, although the key is right. */

import { describe, expect, it } from 'vitest'
import { expectStatus } from '../support/broker/broker.ts'
import { askIceServers } from '../support/broker/doors.ts'
import { countAsked } from '../support/broker/upstream.ts'
import { ALPHABET, asText, encode, HEADER, newForger, notRefused, type Rows, sign } from '../support/secrets/forger.ts'

/** The text with its last character changed in bits that decode to nothing. */
function stray(text: string): string {
  if (text.length % 4 === 0) throw new Error('no stray bits at this length')
  return text.slice(0, -1) + ALPHABET.charAt(ALPHABET.indexOf(text.slice(-1)) ^ 1)
}

describe('a client token', () => {
  it('A client token with claims of another kind, or too many, is refused', async () => {
    const { claims } = await newForger()
    const rows: Rows = {}
    const x = (times: number) => 'x'.repeat(times)
    const values: Record<string, unknown[]> = {
      sub: [
        '',
        x(129),
        '🦊'.repeat(129),
        'a\u0000',
        '\n',
        '\u007f',
        '\u0085',
        '\ud800',
        1,
        0,
        true,
        null,
        [],
        ['alice'],
        {},
      ],
      ati: ['', 'operators', x(11), x(13), '../operator', 1, null, ['operator'], {}],
      jti: ['', x(65), 1, null, []],
      cttl: [0, -1, 1.5, '60', 172_801, 1e9, 1e30, null, [60], true, {}],
      keyId: ['', 'x', x(33), `${x(31)}/`, 1, null, [], `../${x(29)}`],
      origin: [
        '',
        'https://*.app.example.com',
        '*',
        'https://app.example/',
        'HTTPS://app.example',
        'http://app.example',
        1,
        null,
        ['https://app.example'],
      ],
    }
    for (const [name, list] of Object.entries(values)) {
      for (const value of list)
        rows[`${name} ${JSON.stringify(value).slice(0, 40).toWellFormed()}`] = await sign(claims({ [name]: value }))
    }
    const extras = {
      admin: true,
      scope: 'all',
      ttl: 60,
      tenant: 'globex',
      subject: 'bob',
      Sub: 'bob',
      '': 0,
      constructor: 1,
    }
    for (const [name, value] of Object.entries(extras)) rows[`also ${name}`] = await sign(claims({ [name]: value }))
    for (const payload of ['null', '[]', '"alice"', '1', '', '{', JSON.stringify([claims()])])
      rows[`the payload ${payload.slice(0, 20)}`] = await sign(payload)
    rows['above 16 KiB'] = await sign(`${JSON.stringify(claims())}${' '.repeat(12_500)}`)
    expect(rows['above 16 KiB']?.length).toBeGreaterThan(16_384)
    expect(await notRefused(rows)).toEqual([])
  })

  it('A client token put together from others, cut, padded or with white space is refused', async () => {
    const { claims } = await newForger()
    const token = await sign(claims())
    const [h = '', p = '', s = ''] = token.split('.')
    const [, otherPayload, otherSignature] = (await sign(claims({ sub: 'bob' }))).split('.')
    const parts = [
      ...[[h, p], [h, p, ''], [h, '', s], ['', p, s], ['', '', ''], [h], [h, p, s, ''], ['', h, p, s]],
      ...[
        [h, p, s, s],
        [h, p, '', '', s],
        [h, otherPayload, s],
        [h, p, otherSignature],
        [p, h, s],
      ],
    ]
    const spellings = [
      ...[`${token}=`, `${token}==`, `${h}=.${p}.${s}`, `${h}.${p}=.${s}`, ` ${token}`, `${token} `, `${token}\n`],
      ...[`\t${token}`, `${h}. ${p}.${s}`, `${h}.${p}.${s.slice(0, 20)}\n${s.slice(20)}`],
      ...[`${h}.${p}.${stray(s)}`, token.toLowerCase(), token.replaceAll('.', ','), `"${token}"`],
      ...[`${token},${token}`, `${token}${token}`, `${token}%3D`, token.slice(0, -1), token.slice(0, -22)],
      ...[`${token}A`, `A${token}`, `${token}\u0000`],
    ]
    const texts = [...parts.map((each) => each.join('.')), ...spellings]
    expect(await notRefused(Object.fromEntries(texts.map((text) => [text, text])))).toEqual([])
  })

  it('A client token with a character changed, any of the signature and each third of the rest, is refused', async () => {
    const { claims } = await newForger()
    const token = await sign(claims({ jti: 'a' }))
    const signatureAt = token.lastIndexOf('.')
    const rows: Rows = {}
    for (let at = 0; at < token.length; at++) {
      const value = ALPHABET.indexOf(token.charAt(at))
      if (value < 0 || (at < signatureAt && at % 3 > 0)) continue
      for (const bit of at > signatureAt ? [32, 4] : [4])
        rows[`bit ${bit} at ${at}`] = token.slice(0, at) + ALPHABET.charAt(value ^ bit) + token.slice(at + 1)
    }
    expect(await notRefused(rows)).toEqual([])
  })

  it('A client token in another base64url of the same bytes is refused, also when signed as it stands', async () => {
    const { broker, claims } = await newForger()
    const odd = (text: string) => [text, `${text} `].map(encode).find((each) => each.length % 4 !== 0) ?? ''
    const [header, payload] = [odd(asText(HEADER)), odd(asText(claims()))]
    const signed = (encoded: string) => sign('', '', { encoded })
    const right = await signed(`${header}.${payload}`)
    expectStatus(await askIceServers(broker, 'acme', right), 201)
    const rows: Rows = {
      'stray bits in the signature': `${header}.${payload}.${stray(right.slice(-43))}`,
      'stray bits in the header': await signed(`${stray(header)}.${payload}`),
      'stray bits in the payload': await signed(`${header}.${stray(payload)}`),
      'a padded header': await signed(`${header}=.${payload}`),
      'a padded payload': await signed(`${header}.${payload}=`),
      'white space in the payload': await signed(`${header}.${payload.slice(0, 8)} ${payload.slice(8)}`),
      'the other alphabet': `${header}.${payload}.${right.slice(-43).replace(/[A-Z]/, '+')}`,
    }
    expect(await notRefused(rows)).toEqual([])
    expect(await countAsked('generate-ice-servers')).toBe(1)
  })
})
