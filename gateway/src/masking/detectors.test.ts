import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type DetectedKind, detect, detectedKinds, withoutDetected } from './detectors.ts'

const header = Buffer.from('{"alg":"RS256","typ":"JWT"}').toString('base64url')
// Put together here, so that no scanner of repositories takes them for real ones.
const token = (front: string, length: number) => front + 'a1B2c3D4e5F6g7H8i9J0'.repeat(20).slice(0, length)

describe('finds', () => {
  it.each<[DetectedKind, string]>([
    ['card', '4111111111111111'],
    ['card', '4111 1111 1111 1111'],
    ['card', '5500-0000-0000-0004'],
    ['card', '2223003122003222'],
    ['card', '378282246310005'],
    ['card', '30569309025904'],
    ['card', '6011111111111117'],
    ['card', '3530111333300000'],
    ['iban', 'DE89370400440532013000'],
    ['iban', 'DE89 3704 0044 0532 0130 00'],
    ['iban', 'GB29NWBK60161331926819'],
    ['iban', 'NO9386011117947'],
    ['iban', 'MT84MALT011000012345MTLCAST001S'],
    ['ssn', '123-45-6789'],
    ['ssn', '123 45 6789'],
    ['email', 'jane.doe+x@mail.example.com'],
    ['email', 'jürgen@müller.example'],
    ['email', 'a@b.co'],
    ['phone', '+14155552671'],
    ['phone', '+49 30 901820'],
    ['phone', '+44 20 7946 0958'],
    ['phone', '(415) 555-2671'],
    ['jwt', `${header}.eyJzdWIiOiIxIn0.c2lnbmF0dXJl`],
    ['jwt', `${header}.eyJzdWIiOiIxIn0.`],
    ['pem', '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----'],
    ['pem', '-----BEGIN RSA PRIVATE KEY-----\nMIIE'],
    ['pem', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----'],
    ['pem', '-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ\n-----END PGP PRIVATE KEY BLOCK-----'],
    ['cloud-key', 'AKIAIOSFODNN7EXAMPLE'],
    ['cloud-key', 'ASIAIOSFODNN7EXAMPLE'],
    ['cloud-key', token('ghp_', 36)],
    ['cloud-key', token('github_pat_', 82)],
    ['cloud-key', token('xoxb-', 40)],
    ['cloud-key', token('sk_live_', 24)],
    ['cloud-key', token('glpat-', 20)],
    ['cloud-key', token('ya29.', 60)],
    ['cloud-key', token('GOCSPX-', 28)],
    ['cloud-key', token('xapp-1-', 40)],
    ['cloud-key', token('rk_live_', 24)],
    ['cloud-key', token('npm_', 36)],
    ['cloud-key', token('sk-ant-', 60)],
    ['cloud-key', `a1B8Q~${token('', 34)}`],
    ['cloud-key', `SG.${token('', 22)}.${token('', 43)}`],
    ['jwt', `${Buffer.from('{"alg":"dir","enc":"A128GCM"}').toString('base64url')}..aXY.Y2lwaGVy.dGFn`],
    ['card', '4000 0000 0000 0000 006'],
    ['card', '3782 822463 10005'],
    ['card', '3056 930902 5904'],
    ['card', '2201382000000013'],
    ['card', '6759649826438453'],
    ['card', '6212345678900002'],
    ['iban', 'RU0204452560040702810412345678901'],
    ['iban', 'LC55HEMM000100010012001200023015'],
    ['iban', 'gb29nwbk60161331926819'],
    ['phone', '415-555-2671'],
    ['phone', '1-415-555-2671'],
    ['phone', '415.555.2671'],
    ['phone', '+1 (415) 555-2671'],
    ['phone', '+998 71 200 00 00'],
  ])('%s: %s', (kind, text) => {
    expect(detect(text)).toEqual([{ kind, start: 0, end: text.length }])
    const within = `(see "${text}", please)`
    if (text.includes('-----') && !text.includes('-----END')) return
    expect(detect(within).map(({ kind, start, end }) => [kind, within.slice(start, end)])).toEqual([[kind, text]])
  })
})

describe('leaves alone', () => {
  it.each([
    '4111111111111112', // Luhn
    '0000000000000000',
    '1234567812345670', // nobody's issuer
    '411111111111111', // fifteen digits of a Visa
    'order-4111111111111111',
    '0.4111111111111111',
    '41111111111111111111111',
    'DE89370400440532013001',
    'DE8937040044053201300',
    'XX89370400440532013000',
    'GB29 is a road',
    '000-12-3456',
    '666-12-3456',
    '900-12-3456',
    '123-00-4567',
    '123-45-0000',
    '123-45 6789',
    '123456789',
    '078-05-1120',
    '2024-12-31',
    '123-45-67890',
    '1.123-45-6789',
    'jane@localhost',
    'jane@@example.com',
    'a..b@example.com.',
    '@handle',
    'user@host:path',
    '4155552671',
    '+1 2',
    '1+14155552671',
    '+123456789012345678',
    'eyJhbGciOiJub',
    'eyJxxxxxxxxxxxxx.yyyy.zzzz',
    '-----BEGIN PUBLIC KEY-----\nMIIE\n-----END PUBLIC KEY-----',
    '-----BEGIN CERTIFICATE-----',
    '4011200296908', // an EAN-13 that passes Luhn
    '500012345678',
    '1732195200000',
    '20261121140500',
    '1234567890123456789',
    '211-555-2671', // no area
    '415-911-2671',
    '415-555.2671',
    '192.168.555.2671',
    '+28912345678',
    '+1 415 555 267',
    'ORD-2026-4111-1111-1111-1111',
    'd41d8cd98f00b204e9800998ecf8427e',
    'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
    '12345678-1234-4123-8123-123456789012',
    '978-3-16-148410-0',
    'eyJhbGciOiJub25l.x',
    `${Buffer.from('{"typ":"no alg here"}').toString('base64url')}.eyJzdWIiOiIxIn0.c2ln`,
    'ghost_of_a_repository_name_that_is_very_long_indeed',
    'SG.1.2',
    'AKIAIOSFODNN7EXAMPL',
    'XAKIAIOSFODNN7EXAMPLE',
    'akiaiosfodnn7example',
    'ghp_short',
    'sk_test_a1B2c3D4e5F6g7H8',
    '2024-01-01 12:00:00.123456+00',
    '550e8400-e29b-41d4-a716-446655440000',
    '192.168.100.200',
  ])('%s', (text) => {
    expect(detect(text)).toEqual([])
  })
})

it('several in one text, in order, none twice', () => {
  const text = 'Pay 4111 1111 1111 1111 or DE89 3704 0044 0532 0130 00 to jane@example.com, call +14155552671.'
  const found = detect(text)
  expect(found.map(({ kind }) => kind)).toEqual(['card', 'iban', 'email', 'phone'])
  expect(withoutDetected(text, found)).toBe(
    'Pay [masked: card] or [masked: iban] to [masked: email], call [masked: phone].',
  )
})

it('whatever the text: in order, not overlapping, inside it, and nothing is left of it', () => {
  const part = fc.constantFrom(
    '4',
    '1',
    '-',
    ' ',
    '@',
    '.',
    'a',
    'eyJ',
    '+',
    '(',
    'DE89',
    'AKIA',
    '-----BEGIN ',
    'PRIVATE KEY',
    '-----',
    '4111111111111111',
    'a@b.co',
    '\u{1f600}',
  )
  fc.assert(
    fc.property(
      fc.array(part, { maxLength: 200 }).map((parts) => parts.join('')),
      (text) => {
        let from = 0
        for (const { start, end } of detect(text)) {
          expect(start).toBeGreaterThanOrEqual(from)
          expect(end).toBeGreaterThan(start)
          from = end
        }
        expect(from).toBeLessThanOrEqual(text.length)
      },
    ),
    { seed: 20261121, numRuns: 500 },
  )
})

/** JSON that holds a value is JSON still without it, and holds it no more. */
describe('in JSON text', () => {
  const samples: [DetectedKind, string][] = [
    ['card', '4111 1111 1111 1111'],
    ['card', '4111111111111111'],
    ['iban', 'DE89370400440532013000'],
    ['ssn', '123-45-6789'],
    ['email', 'jane.doe@example.com'],
    ['phone', '+49 30 901820'],
    ['phone', '415-555-2671'],
    ['jwt', `${header}.eyJzdWIiOiIxIn0.c2lnbmF0dXJl`],
    ['pem', '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n'],
    ['pem', '-----BEGIN PRIVATE KEY-----\nMIIEcut'],
    ['cloud-key', 'AKIAIOSFODNN7EXAMPLE'],
    ['cloud-key', token('ghp_', 36)],
  ]
  const around: [string, string][] = [
    ['', ''],
    ['a\n', '\nb'],
    ['\t', '\t'],
    ['say "', '"'],
    ['\u001f', '\u0001'],
    ['é ', ' ü'],
  ]
  it.each(samples)('%s: %s', (kind, value) => {
    for (const [before, after] of around) {
      const text = JSON.stringify({ id: 7, note: `${before}${value}${after}`, list: [value], next: 'kept' })
      const out = withoutDetected(text, detect(text))
      const parsed = JSON.parse(out) as { id: number; note: string; list: string[]; next: string }
      expect(parsed).toMatchObject({ id: 7, next: 'kept' })
      expect(parsed.list[0]!.trim()).toBe(`[masked: ${kind}]`)
      expect(parsed.note).toContain(`[masked: ${kind}]`)
      expect(out).not.toContain(JSON.stringify(value).slice(1, -1))
    }
  })

  it('whatever the strings', () => {
    const piece = fc.constantFrom(
      ...samples.map(([, value]) => value),
      '\n',
      '"',
      '\\',
      ' ',
      '\u2028',
      'u0041',
      'n',
      ',',
    )
    fc.assert(
      fc.property(fc.array(fc.array(piece, { maxLength: 6 }), { maxLength: 4 }), (lists) => {
        const text = JSON.stringify(lists.map((pieces) => pieces.join('')))
        const out = JSON.parse(withoutDetected(text, detect(text))) as string[]
        expect(out).toHaveLength(lists.length)
      }),
      { seed: 20261121, numRuns: 1000 },
    )
  })
})

it.each(['17,4111111111111111,12/27', 'id,card\n17,4111 1111 1111 1111\n18,', '4111111111111111,5'])(
  'finds a card between the commas of a table: %j',
  (text) =>
    expect(detect(text).map(({ kind, start, end }) => [kind, text.slice(start, end).replaceAll(' ', '')])).toEqual([
      ['card', '4111111111111111'],
    ]),
)

it('finds the one of several numbers that is a card', () => {
  const text = 'on 2024 4111 1111 1111 1111 12/27, ref 1 378282246310005 2'
  expect(detect(text).map(({ start, end }) => text.slice(start, end))).toEqual([
    '4111 1111 1111 1111',
    '378282246310005',
  ])
})

it('keys that only the words before them tell', () => {
  const secret = token('', 40)
  for (const [text, value] of [
    [`aws_secret_access_key = ${secret}`, secret],
    [`{"SecretAccessKey": "${secret}"}`, secret],
    [`AccountName=a;AccountKey=${token('', 86)}==;Suffix=x`, `${token('', 86)}==`],
    ['{"private_key_id": "0123456789abcdef0123456789abcdef01234567"}', '0123456789abcdef0123456789abcdef01234567'],
    [`https://hooks.slack.com/services/T0123ABCD/B0123ABCD/${token('', 24)}`, `T0123ABCD/B0123ABCD/${token('', 24)}`],
  ] as const)
    expect(detect(text).map(({ start, end }) => text.slice(start, end))).toEqual([value])
})

it('looks for what it is told to, and nothing else', () => {
  const text = '4111111111111111 jane@example.com'
  expect(detect(text, { kinds: ['email'] }).map(({ kind }) => kind)).toEqual(['email'])
  expect(detect(text, { kinds: new Set(['card', 'jwt']) }).map(({ kind }) => kind)).toEqual(['card'])
  expect(detect(text, { kinds: [] })).toEqual([])
  for (const kind of detectedKinds) expect(() => detect(text, { kinds: [kind] })).not.toThrow()
})

/** Values that fill ordinary tables, of which none is to be taken for anything. */
it('leaves a corpus of look-alikes alone', () => {
  const random = seeded(20261121)
  const pick = (from: string, length: number) =>
    Array.from({ length }, () => from[Math.floor(random() * from.length)]).join('')
  const hex = '0123456789abcdef'
  const number = (length: number) => pick('123456789', 1) + pick('0123456789', length - 1)
  const makers: Record<string, () => string> = {
    uuid: () => [8, 4, 4, 4, 12].map((n) => pick(hex, n)).join('-'),
    'uuid of digits': () => [8, 4, 4, 4, 12].map((n) => pick('0123456789', n)).join('-'),
    md5: () => pick(hex, 32),
    sha1: () => pick(hex, 40),
    sha256: () => pick(hex, 64),
    base64: () => Buffer.from(pick(hex, 48), 'hex').toString('base64'),
    'epoch in ms': () => `17${number(11)}`,
    'epoch in µs': () => `17${number(14)}`,
    'epoch in ns': () => `17${number(17)}`,
    timestamp: () => new Date(1.5e12 + random() * 3e11).toISOString(),
    'timestamp in one': () => new Date(1.5e12 + random() * 3e11).toISOString().replace(/\D/g, '').slice(0, 14),
    date: () => new Date(1.5e12 + random() * 3e11).toISOString().slice(0, 10),
    order: () => `ORD-${number(16)}`,
    invoice: () => `INV/2026/${number(6)}`,
    snowflake: () => `1${number(18)}`,
    'ten digits': () => number(10),
    money: () => `${number(7)}.${number(2)}`,
    ip: () => Array.from({ length: 4 }, () => Math.floor(random() * 256)).join('.'),
    version: () => `${number(1)}.${number(2)}.${number(3)}-rc.${number(1)}`,
    mac: () => Array.from({ length: 6 }, () => pick(hex, 2)).join(':'),
    coordinate: () => `${number(2)}.${number(15)}`,
    sku: () => `${pick('ABCDEFGHJK', 2)}${number(2)}-${number(4)}-${number(4)}`,
    parcel: () => `1Z${pick('ABCDEFGHJK0123456789', 16)}`,
    path: () => `/srv/${pick(hex, 8)}/${number(4)}-${number(2)}-${number(2)}/x@${number(2)}`,
    'git ref': () => `${pick(hex, 7)}..${pick(hex, 7)}`,
    css: () => `@media (min-width: ${number(3)}px) { a@b }`,
  }
  const wrong: string[] = []
  for (const [name, make] of Object.entries(makers))
    for (let n = 0; n < 500; n++) {
      const text = make()
      for (const { kind } of detect(`${text} and "${text}"`)) wrong.push(`${name} as ${kind}: ${text}`)
    }
  expect(wrong).toEqual([])
})

it('takes few bare numbers of sixteen digits for cards: Luhn passes each tenth, issuers have a part of them', () => {
  const random = seeded(7)
  const hits = Array.from({ length: 20_000 }, () => String(Math.floor(1e15 + random() * 9e15))).filter(
    (text) => detect(text).length > 0,
  )
  expect(hits.length / 20_000).toBeLessThan(0.04)
})

// Texts on which an expression that backtracks would take minutes: the time limit of the test is what tells.
const runs = `a|1|1 |4-|4111 |4111 1111 1111 1111 2|@|a@|a@a.|a.|-|eyJ|eyJhbGciOi.|.eyJhbGciOi|eyJaaaaaaaaaa.|+1|+1 |+1(2)|(415) |415-|AB12|AB12 |DE89 3704 |AKIA|ghp_|aaa8Q~|ya29.|SG.|-----BEGIN PRIVATE KEY-----|-----BEGIN |-----BEGIN A |-----END |"private_key_id" |"private_key_id":        |secret_access_key|secret_access_key = |AccountKey=|?sig=%|xoxb-|123-45-|\\n|\\\\|é|é@|\u{1f600}`
const megabyte = 1 << 20
it.each(runs.split('|'))(
  'ends soon on a megabyte of %j',
  (part) => {
    const long = part.repeat(Math.ceil(megabyte / part.length))
    for (const { end } of detect(long)) expect(end).toBeLessThanOrEqual(65_536)
    detect(long, { length: Number.POSITIVE_INFINITY })
    detect(`${long}!`, { length: Number.POSITIVE_INFINITY })
  },
  5_000,
)

it('ends soon on a megabyte of whatever repeats', () => {
  const part = fc
    .array(fc.constantFrom(...runs.split('|')), { minLength: 1, maxLength: 5 })
    .map((parts) => parts.join(''))
  fc.assert(
    fc.property(part, (text) => {
      detect(text.repeat(Math.ceil(megabyte / text.length)), { length: Number.POSITIVE_INFINITY })
    }),
    { seed: 20261121, numRuns: 12 },
  )
}, 30_000)

/** Mulberry32. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
