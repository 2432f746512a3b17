/** Fields of bodies that are of a wrong type or out of bounds, route by route. A new body needs its rows here to compile. */
import type { BodyRoute } from './bodies.ts'

/** Wrong wherever a whole number from 1 is meant. */
export const NO_COUNT = [0, -1, 1.5, '1', '3600', true, [600], {}, 1e30, Number.MAX_SAFE_INTEGER + 2, '1e999']

const INVISIBLE = ['\u0000', '\n', '\t', '\u007f', '\u0085', '\u061c', '\u200e', '\u200f', '\u2028', '\u202a', '\u202e']
const NO_NAME = [
  ...[...INVISIBLE, '\u2066', '\u2069', '\ufeff', '\ud800', '\udfff'].map((mark) => `a${mark}b`),
  ...['x'.repeat(101), '😀'.repeat(101), 'x'.repeat(16_000), 1, true, null, [], ['a'], { a: 1 }],
]

const NO_SCOPES = [
  [],
  'usage:read',
  ['*'],
  ['usage:read', 'usage:read'],
  ['USAGE:READ'],
  [''],
  [1],
  {},
  null,
  ['admin'],
]
const NO_INSTANT = [
  ...['', 'never', '2030-01-01', '2030-01-01T00:00:00', '2030-13-01T00:00:00Z', '2030-02-30T00:00:00Z', 1, {}, true],
  ...['2030-01-01 00:00:00Z', '2020-01-01T00:00:00Z', '2030-01-01T24:00:00Z', '2030-01-01T00:00:00+24:00'],
  ...['Tue, 01 Jan 2030 00:00:00 GMT', '+275760-09-13T00:00:00Z', 4e12],
]
const NO_OVERLAP = [-1, 604_801, 1.5, '60', null, true, [], 1e30]
const NO_ID = [
  '',
  'A',
  'Acme',
  '-a',
  '_a',
  'a_b',
  'a b',
  'a/b',
  'a.b',
  'a:b',
  'ä',
  '\u0000',
  'x'.repeat(33),
  1,
  null,
  ['a'],
]
const NO_REGION = ['', 'WEUR', 'eu', 'europe', 1, null, ['weur']]
const NO_STATUS = ['', 'deleting', 'creating', 'Active', 'deleted', true, null, 1]

const each = (field: string, values: readonly unknown[]) => values.map((value) => ({ field, value }))

const NO_TTL = [...NO_COUNT, 172_801, null]
const NO_SUBJECT = [
  ...[
    '',
    'x'.repeat(129),
    '😀'.repeat(129),
    'x'.repeat(16_000),
    'a\u0000b',
    'a\nb',
    '\u007f',
    '\u0085',
    '\ud800',
    'a\udfff',
  ],
  ...[1, true, null, [], ['ann'], { a: 1 }],
]
const NO_UID = ['', 'x', 'k'.repeat(31), 'k'.repeat(33), `${'k'.repeat(31)}/`, 1, null, [], {}, true]
const NO_SECRET = [
  '',
  's'.repeat(63),
  's'.repeat(65),
  `${'s'.repeat(63)} `,
  `${'s'.repeat(63)}é`,
  1,
  null,
  [],
  {},
  true,
]
const NO_ORIGIN = [
  '',
  'null',
  '*',
  'app.example',
  'https://app.example/',
  'http://app.example',
  'HTTPS://APP.EXAMPLE',
  1,
  null,
]
const NO_CREDENTIAL = [
  '',
  'cr_',
  `cr_${'0'.repeat(21)}`,
  `cr_${'0'.repeat(23)}`,
  `su_${'0'.repeat(22)}`,
  `cr_${'-'.repeat(22)}`,
  1,
  null,
]
const NO_API_TOKEN = ['', 't'.repeat(11), 't'.repeat(13), `${'t'.repeat(11)}-`, 'operator', 1, null, []]

/** What is wrong with a body of a route: a field and a value that may not be its. */
export const WRONG = {
  turnKeyCreate: each('name', NO_NAME),
  turnKeyUpdate: each('name', NO_NAME),
  tenantCreate: [
    ...each('name', [...NO_NAME, '', '  ', '\u3000']),
    ...each('id', NO_ID),
    ...each('region', NO_REGION),
    ...each('policy', [null, [], 'x', 1]),
  ],
  tenantPatch: [...each('name', [...NO_NAME, '', ' ']), ...each('status', NO_STATUS), ...each('policy', [[], 'x', 1])],
  // Any time that was is one, if the storage has it; one that will be is not.
  tenantRestore: each('at', [
    ...NO_INSTANT.filter((value) => !String(value).startsWith('2020')),
    '2100-01-01T00:00:00Z',
  ]),
  issuerCheck: each('token', ['', 1, null, [], {}, true]),
  apiTokenCreate: [...each('name', [...NO_NAME, '']), ...each('scopes', NO_SCOPES), ...each('expiresAt', NO_INSTANT)],
  apiTokenRoll: each('overlapSeconds', NO_OVERLAP),
  turnKeyRotate: each('revoke', ['true', 'false', '', 0, 1, null, [], {}]),
  turnKeyImport: [...each('uid', NO_UID), ...each('key', NO_SECRET), ...each('name', NO_NAME)],
  iceServers: each('ttl', NO_TTL),
  credentialGenerateIceServers: [...each('ttl', NO_TTL), ...each('customIdentifier', NO_SUBJECT)],
  credentialGenerate: [...each('ttl', NO_TTL), ...each('customIdentifier', NO_SUBJECT)],
  clientTokenCreate: [
    ...each('subject', NO_SUBJECT),
    ...each('ttl', [...NO_COUNT, 3_601, null]),
    ...each('credentialTtl', NO_TTL),
    // Well-formed, and not in the policy.
    ...each('origin', [...NO_ORIGIN, 'https://other.example']),
    ...each('keyId', [...NO_UID, 'k'.repeat(32)]),
  ],
  subjectSearch: each('subject', NO_SUBJECT),
  turnRestCreate: [...each('username', NO_SUBJECT), ...each('service', ['', 'stun', 'turns', 1, null, ['turn']])],
  revocationCreate: [...each('subject', NO_SUBJECT), ...each('banUntil', NO_INSTANT)],
  banCreate: [...each('subject', NO_SUBJECT), ...each('until', NO_INSTANT)],
} satisfies Record<BodyRoute, { field: string; value: unknown }[]>

/** Exactly one thing is revoked or banned: each of these is one too few, one too many, or none that there is. */
export const WRONG_CHOICES = {
  revocationCreate: [
    ...[
      {},
      { all: true, subject: 'ann' },
      { subject: 'ann', keyId: 'k'.repeat(32) },
      { banUntil: '2100-01-01T00:00:00Z' },
    ],
    ...[
      { all: true, banUntil: '2100-01-01T00:00:00Z' },
      { keyId: 'k'.repeat(32), banUntil: '2100-01-01T00:00:00Z' },
    ],
    ...[false, 'true', 1, null, [], {}].map((all) => ({ all })),
    ...NO_UID.map((keyId) => ({ keyId })),
    ...NO_CREDENTIAL.map((credentialId) => ({ credentialId })),
  ],
  banCreate: [
    ...[{}, { until: '2100-01-01T00:00:00Z' }, { subject: 'ann' }, { tokenId: 't'.repeat(12) }],
    { subject: 'ann', tokenId: 't'.repeat(12), until: '2100-01-01T00:00:00Z' },
    ...NO_API_TOKEN.map((tokenId) => ({ tokenId, until: '2100-01-01T00:00:00Z' })),
  ],
} satisfies Partial<Record<BodyRoute, object[]>>
