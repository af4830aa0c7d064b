import { createHash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { command } from '../approvals/testing/approvals.ts'
import { bot, onTable, orders } from '../policy/testing/policies.ts'
import type { Command } from './command.ts'
import { digestOf } from './digest.ts'

const base = command({ parameters: ['a', null, { base64: 'AA==' }] })
const of = (more: Partial<Command>) => digestOf({ ...base, ...more })

test('is sha256 in hex, and the same for the same', () => {
  expect(digestOf(base)).toMatch(/^sha256:[0-9a-f]{64}$/)
  expect(digestOf(structuredClone(base))).toBe(digestOf(base))
})

test('is over the canonical form of the whole, whatever was put into it before', () => {
  const { agent, connection, protocol, text, kind, effects, meaning } = base
  for (const parameters of [[], ['a', null, { base64: 'AA==' }], ['","protocol":"http']]) {
    const whole = canonical([
      'countersign-command/1',
      {
        identity: {
          id: agent.id,
          issuer: agent.issuer,
          subject: agent.subject,
          groups: [...agent.groups].sort(),
          owner: agent.owner ?? null,
          onBehalfOf: agent.onBehalfOf ?? null,
        },
        connection: { name: connection.name, kind: connection.kind },
        protocol,
        text,
        parameters,
        kind,
        effects: effects.map(({ action, resource: { type, id, attrs }, command, object }) => ({
          action,
          resource: { type, id, attrs: attrs ?? {} },
          command,
          object: object ?? null,
        })),
        meaning,
      },
    ])
    expect(of({ parameters })).toBe(`sha256:${createHash('sha256').update(whole).digest('hex')}`)
  }
})

const another: [name: string, more: Partial<Command>][] = [
  ['agent', { agent: { ...bot, id: 'https://idp.example.com#other', subject: 'other' } }],
  ['issuer of the agent', { agent: { ...bot, issuer: 'https://other.example.com' } }],
  ['person acted for', { agent: { ...bot, onBehalfOf: 'ada' } }],
  ['actor before it', { agent: { ...bot, chain: ['planner'] } }],
  ['groups of the agent', { agent: { ...bot, groups: [...bot.groups, 'more'] } }],
  ['connection', { connection: { ...orders, name: 'billing' } }],
  ['protocol', { protocol: 'http' }],
  ['text', { text: `${base.text} ` }],
  ['letter', { text: base.text.toLowerCase() }],
  ['parameter', { parameters: ['b', null, { base64: 'AA==' }] }],
  ['NULL for an empty text', { parameters: ['a', '', { base64: 'AA==' }] }],
  ['bytes for their text', { parameters: ['a', null, '{"base64":"AA=="}'] }],
  ['number of parameters', { parameters: ['a', null] }],
  ['split of parameters', { parameters: ['a","b', null] }],
  ['effect', { effects: [onTable('sql:read', 'customers', { kind: 'delete', bounded: false })] }],
  ['order of effects', { effects: [onTable('sql:read', 'a'), onTable('sql:read', 'b')] }],
  ['other order of effects', { effects: [onTable('sql:read', 'b'), onTable('sql:read', 'a')] }],
  ['object of the same name', { effects: base.effects.map((e) => ({ ...e, object: '99' })) }],
  ['object left out', { effects: base.effects.map(({ object: _, ...e }) => e) }],
  ['search_path', { meaning: { ...base.meaning, search_path: ['evil', 'public'] } }],
  ['role', { meaning: { ...base.meaning, role: 'other' } }],
  ['meaning more', { meaning: { ...base.meaning, statement: 'DELETE FROM t' } }],
]
test.each(another)('another %s is another digest', (_, more) => expect(of(more)).not.toBe(digestOf(base)))
test('each of them is another than all the others', () => {
  expect(new Set(another.map(([, more]) => of(more))).size).toBe(another.length)
})

test('sessions, tokens and the order of groups make no difference', () => {
  expect(of({ session: { id: 'se_2', purpose: 'other' } })).toBe(digestOf(base))
  expect(of({ agent: { ...bot, expiresAt: new Date() } })).toBe(digestOf(base))
  const groups = (...names: string[]) => of({ agent: { ...bot, groups: names } })
  expect(groups('b', 'a', 'b')).toBe(groups('a', 'b'))
})

describe('the canonical form', () => {
  test('of two different values is never the same, and says the value again', () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.jsonValue(), (a, b) => {
        const plain = (v: unknown) => JSON.parse(JSON.stringify(v))
        expect(JSON.parse(canonical(plain(a)))).toEqual(plain(a))
        expect(canonical(plain(a)) === canonical(plain(b))).toBe(equal(plain(a), plain(b)))
      }),
      { seed: 20261121, numRuns: 1000 },
    )
  })
  test('knows no order of keys', () => {
    expect(canonical({ b: 1, a: { d: [], c: '€' } })).toBe('{"a":{"c":"€","d":[]},"b":1}')
    // RFC 8785, 3.2.3: by UTF-16 code units
    const keys = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 }
    expect(Object.values(JSON.parse(canonical(keys)))).toEqual([4, 2, 6, 7, 1, 5, 3])
  })
  test.each([
    ['a lone surrogate', '\ud800'],
    ['one in a key', { '\udfff': 1 }],
    ['NaN', Number.NaN],
    ['Infinity', [Number.POSITIVE_INFINITY]],
    ['undefined in a list', [undefined]],
    ['a bigint', 1n],
    ['a Date', new Date()],
    ['a Map', new Map([['a', 1]])],
    ['a function', () => 1],
  ])('refuses %s', (_, value) => expect(() => canonical(value)).toThrow(TypeError))
})

function equal(a: unknown, b: unknown): boolean {
  try {
    expect(a).toEqual(b)
    return true
  } catch {
    return false
  }
}
