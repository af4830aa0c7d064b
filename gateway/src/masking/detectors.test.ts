import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { DETECTED_LENGTH, type DetectedKind, detect, withoutDetected } from './detectors.ts'
import { suggestClasses } from './suggest.ts'

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
    ['private-key', '-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----'],
    ['private-key', '-----BEGIN RSA PRIVATE KEY-----\nMIIE'],
    ['private-key', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n-----END OPENSSH PRIVATE KEY-----'],
    ['private-key', '-----BEGIN PGP PRIVATE KEY BLOCK-----\nlQ\n-----END PGP PRIVATE KEY BLOCK-----'],
    ['cloud-key', 'AKIAIOSFODNN7EXAMPLE'],
    ['cloud-key', 'ASIAIOSFODNN7EXAMPLE'],
    ['cloud-key', token('ghp_', 36)],
    ['cloud-key', token('github_pat_', 82)],
    ['cloud-key', token('xoxb-', 40)],
    ['cloud-key', token('sk_live_', 24)],
    ['cloud-key', '"private_key_id": "0123456789abcdef0123456789abcdef01234567"'],
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

// Texts on which an expression that backtracks would take minutes: the time limit of the test is what tells.
it.each([
  'a',
  '1',
  '1 ',
  '4-',
  '@',
  'a@',
  'a@a.',
  'a.',
  '-',
  'eyJ',
  'eyJhbGciOi.',
  '+1',
  '+1 ',
  'AB12',
  'AB12 ',
  'AKIA',
  'ghp_',
  '-----BEGIN PRIVATE KEY-----',
  '-----BEGIN ',
  '"private_key_id" ',
  'xoxb-',
  '123-45-',
])(
  'ends soon on a long run of %j',
  (part) => {
    const long = part.repeat(Math.ceil((2 * DETECTED_LENGTH) / part.length))
    for (const { end } of detect(long)) expect(end).toBeLessThanOrEqual(DETECTED_LENGTH)
    detect(`${long.slice(0, 60_000)}!`)
  },
  5_000,
)

it('suggests classes, with counts and without values', () => {
  const suggestions = suggestClasses(
    new Map([
      ['public.a.mail', ['x1@example.com', 'x2@example.com', '', 'none']],
      ['public.a.note', ['call +14155552671', ...new Array<string>(18).fill('nothing'), 'or +14155552672 today']],
      ['public.a.city', ['Oslo', 'Bern']],
      ['public.a.once', ['a@b.co', ...new Array<string>(200).fill('nothing')]],
      ['public.a.pan', ['4111111111111111']],
    ]),
  )
  expect(suggestions).toEqual([
    { column: 'public.a.pan', dataClass: 'card', evidence: { matching: 1, of: 1 }, where: 'whole' },
    { column: 'public.a.mail', dataClass: 'email', evidence: { matching: 2, of: 3 }, where: 'whole' },
    { column: 'public.a.note', dataClass: 'phone', evidence: { matching: 2, of: 20 }, where: 'within' },
  ])
})
