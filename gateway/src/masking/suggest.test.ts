import { describe, expect, it, test } from 'vitest'
import { classByName } from './names.ts'
import { type SampledColumn, suggestClasses } from './suggest.ts'

const column = (name: string, values: string[], kind: SampledColumn['kind'] = 'text'): SampledColumn => ({
  key: `public.a.${name}`,
  name,
  kind,
  values,
})
const times = (count: number, make: (n: number) => string) => Array.from({ length: count }, (_, n) => make(n))
const told = (...columns: SampledColumn[]) =>
  suggestClasses(columns).map(
    ({ key, dataClass, confidence, where, named, evidence: { matching, of } }) =>
      `${key.slice(9)} ${dataClass} ${confidence} ${where}${named ? ' named' : ''} ${matching}/${of}`,
  )

describe('by content', () => {
  it.each<[what: string, SampledColumn, string[]]>([
    [
      'all of them',
      column(
        'contact',
        times(10, (n) => `x${n}@example.com`),
      ),
      ['contact email high whole 10/10'],
    ],
    [
      'half of them, and the name',
      column('email', [...times(5, (n) => `x${n}@example.com`), ...times(5, () => 'none')]),
      ['email email high whole named 5/10'],
    ],
    [
      'half of them',
      column('contact', [...times(5, (n) => `x${n}@example.com`), ...times(5, () => 'none')]),
      ['contact email medium whole 5/10'],
    ],
    [
      'some texts that hold one',
      column('note', ['call +14155552671', ...times(18, () => 'nothing'), 'or +14155552672 today']),
      ['note phone low within 2/20'],
    ],
    ['one in two hundred', column('once', ['a@b.co', ...times(200, () => 'nothing')]), []],
    ['one, and there is but one', column('ref', ['4111111111111111', '', ' ']), ['ref card high whole 1/1']],
    ['none', column('city', ['Oslo', 'Bern']), []],
    ['no values', column('city', []), []],
    [
      'two kinds',
      column(
        'payload',
        times(4, (n) => `{"to":"x${n}@example.com","iban":"DE89370400440532013000"}`),
      ),
      ['payload email medium within 4/4', 'payload iban medium within 4/4'],
    ],
  ])('%s', (_, one, expected) => {
    expect(told(one)).toEqual(expected)
  })

  it('numbers of which some pass a checksum by chance are none', () => {
    // Every number from 4000000000000000 on: each tenth is a card by Luhn.
    const numbers = times(200, (n) => String(4_000_000_000_000_000 + n * 7))
    expect(told(column('order_ref', numbers))).toEqual([])
    expect(told(column('order_ref', numbers, 'number'))).toEqual([])
    const cards = times(20, () => '4111111111111111')
    expect(told(column('order_ref', [...numbers.slice(0, 5), ...cards], 'number'))).toEqual([
      'order_ref card high whole 21/25',
    ])
  })
})

describe('by name', () => {
  it.each<[SampledColumn, string[]]>([
    [column('ssn', []), ['ssn ssn medium name named 0/0']],
    [column('ssn', ['123456789', '234567891']), ['ssn ssn medium name named 2/2']],
    [column('ssn', ['yes', 'no']), ['ssn ssn low name named 0/2']],
    [column('phone', ['030 901820', '0171/1234567']), ['phone phone medium name named 2/2']],
    [column('password_hash', ['$2b$12$abc']), ['password_hash password medium name named 0/1']],
    [column('date_of_birth', ['1970-01-01'], 'other'), ['date_of_birth birth_date medium name named 0/0']],
    [column('email', ['true'], 'other'), []],
  ])('%j', (one, expected) => {
    expect(told(one)).toEqual(expected)
  })

  test.each<[name: string, dataClass: string | undefined]>([
    ['email', 'email'],
    ['workEmail', 'email'],
    ['E-Mail Address', 'email'],
    ['email_2', 'email'],
    ['email_verified_at', undefined],
    ['emails_sent', undefined],
    ['mobile_number', 'phone'],
    ['telephone', 'phone'],
    ['phone_type', undefined],
    ['creditCardNumber', 'card'],
    ['cc_num', 'card'],
    ['company', undefined],
    ['pan', 'card'],
    ['japan', undefined],
    ['first_name', 'name'],
    ['surname', 'name'],
    ['name', undefined],
    ['filename', undefined],
    ['table_name', undefined],
    ['api_key', 'secret'],
    ['refresh_token', 'secret'],
    ['token_count', undefined],
    ['pwd', 'password'],
    ['street', 'address'],
    ['ip_address', undefined],
    ['tax_id', 'national_id'],
  ])('%s: %s', (name, dataClass) => {
    expect(classByName(name, 'text')).toBe(dataClass)
  })
})

it('the most certain comes first, and no value is repeated', () => {
  const columns = [
    column('note', ['call +14155552671', ...times(18, () => 'nothing'), 'or +14155552671']),
    column(
      'mail',
      times(4, () => 'x@example.com'),
    ),
    column('alt', [...times(4, () => 'y@example.com'), ...times(4, () => '')]),
  ]
  expect(told(...columns).map((line) => line.split(' ')[0])).toEqual(['alt', 'mail', 'note'])
  expect(JSON.stringify(suggestClasses(columns))).not.toMatch(/example\.com|4155552671/)
})
