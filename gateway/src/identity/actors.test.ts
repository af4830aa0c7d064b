import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { actorOf, mayActOf } from './actors.ts'
import { claimAt } from './claim.ts'
import { principalOf } from './claims.ts'
import { groupsOf } from './groups.ts'
import { agentRef, TokenError } from './principal.ts'
import { entry, roles } from './testing/providers.ts'

const iss = 'https://idp.example.com'
const chained = (depth: number, sub = (n: number) => `a${n}`): unknown =>
  Array.from({ length: depth }, (_, n) => n).reduceRight<unknown>(
    (act, n) => ({ sub: sub(n), ...(act ? { act } : {}) }),
    undefined,
  )

describe('who acts, and who did before', () => {
  test('the outermost acts; those within are history, the latest first', () => {
    expect(actorOf({ iss, act: chained(3) })).toMatchObject({ claims: { sub: 'a0' }, chain: ['a1', 'a2'] })
    expect(actorOf({ iss })).toBeUndefined()
    const elsewhere = { sub: 'bot', act: { sub: 'x', iss: 'https://other.example.com', act: { sub: 'y', iss } } }
    expect(actorOf({ iss, act: elsewhere })?.chain).toEqual(['https://other.example.com#x', 'y'])
  })

  const refused: [name: string, act: unknown][] = [
    ['nine before it', chained(10)],
    ['ten thousand', chained(10_000)],
    ['names of 5,000 characters', chained(7, (n) => `${n}`.repeat(1000))],
    ['an earlier one that is a text', { sub: 'bot', act: 'planner' }],
    ['an earlier one that is null', { sub: 'bot', act: null }],
    ['an earlier one without a name', { sub: 'bot', act: {} }],
    ['an earlier one with a line break', { sub: 'bot', act: { sub: 'a\nb' } }],
    ['an earlier one that turns the line around', { sub: 'bot', act: { sub: 'a\u202eb' } }],
    ['an earlier one that is half a character', { sub: 'bot', act: { sub: 'a\udc00' } }],
    ['an earlier issuer that is a number', { sub: 'bot', act: { sub: 'a', iss: 1 } }],
    ['one of another issuer that acts', { sub: 'bot', iss: 'https://other.example.com' }],
  ]
  test.each(refused)('refused: %s', (_name, act) => {
    expect(() => actorOf({ iss, act })).toThrow(TokenError)
  })

  test('whatever stands there, it is refused or bounded', () => {
    const act = fc.letrec((tie) => ({
      act: fc.oneof(
        { depthSize: 'large' },
        fc.jsonValue(),
        fc.record(
          { sub: fc.oneof(fc.string(), fc.jsonValue()), iss: fc.constantFrom(iss, 'x', undefined, 1), act: tie('act') },
          { requiredKeys: [] },
        ),
      ),
    })).act
    fc.assert(
      fc.property(act, (value) => {
        try {
          const chain = actorOf({ iss, act: value })?.chain ?? []
          return chain.length <= 8 && chain.join('').length <= 4096 && !/\p{Cc}/u.test(chain.join(''))
        } catch (error) {
          return error instanceof TokenError
        }
      }),
      { seed: 8, numRuns: 500 },
    )
  })

  test('is in what others see of the agent, and nothing else of the token is', () => {
    const claims = { iss, sub: 'ada', exp: 4_000_000_000, groups: ['dba'], act: chained(2), may_act: { sub: 'bot' } }
    const principal = principalOf(claims, entry({ issuer: iss }), roles)
    if (principal.kind !== 'agent') throw new Error('no agent')
    expect(agentRef({ ...principal, ...({ proof: 'p', mayAct: 'x' } as object) })).toEqual({
      id: `${iss}#a0`,
      issuer: iss,
      subject: 'a0',
      name: 'a0',
      groups: [],
      onBehalfOf: 'ada',
      chain: ['a1'],
    })
  })

  test('whom somebody acts for has the name that the entry says', () => {
    const claims = {
      iss,
      sub: 'u-1',
      email: 'ada@example.com',
      email_verified: true,
      exp: 4_000_000_000,
      act: chained(1),
    }
    expect(principalOf(claims, entry({ issuer: iss, subject: 'email' }), roles)).toMatchObject({
      subject: 'a0',
      onBehalfOf: 'ada@example.com',
    })
  })
})

test('who may act for a subject', () => {
  expect(mayActOf({ iss })).toBeUndefined()
  expect(mayActOf({ iss, may_act: { sub: 'bot' } })).toBe(`${iss}#bot`)
  expect(mayActOf({ iss, may_act: { sub: 'bot', iss: 'https://other.example.com' } })).toBe(
    'https://other.example.com#bot',
  )
  for (const may_act of ['bot', null, [], {}, { sub: '' }, { sub: 7 }, { sub: 'a\nb' }, { sub: 'bot', iss: 1 }])
    expect(mayActOf({ iss, may_act }), JSON.stringify(may_act)).toBe('')
})

describe('a claim by its way', () => {
  const claims = {
    flat: 1,
    'a.b': 'the whole name',
    a: { b: 'inside' },
    'kubernetes.io': { namespace: 'agents', 'x.y': { z: 2 } },
    realm_access: { roles: ['r'] },
    'https://example.com/groups': ['g'],
    list: [{ b: 1 }],
  }
  test.each([
    ['flat', 1],
    ['a.b', 'the whole name'],
    ['kubernetes.io.namespace', 'agents'],
    ['kubernetes.io.x.y.z', 2],
    ['realm_access.roles', ['r']],
    ['https://example.com/groups', ['g']],
    ['list.b', undefined],
    ['flat.x', undefined],
    ['missing', undefined],
    ['constructor', undefined],
    ['a.constructor', undefined],
    ['__proto__.x', undefined],
    ['toString.name', undefined],
    ['.', undefined],
    ['a.', undefined],
  ])('%s', (path, expected) => {
    expect(claimAt(claims, path)).toEqual(expected)
  })
})

describe('groups', () => {
  const of = (claims: Record<string, unknown>, more = {}) => groupsOf(claims, entry({ issuer: iss, ...more }))
  test('so many, and so long, and no more', () => {
    const many = (count: number) => Array.from({ length: count }, (_, n) => `g${n}`)
    expect(of({ groups: many(2000) })).toHaveLength(2000)
    expect(() => of({ groups: many(2001) })).toThrow(/more than 2000/)
    expect(of({ groups: 'x'.repeat(1024) })).toHaveLength(1)
    expect(() => of({ groups: 'x'.repeat(1025) })).toThrow(/too long/)
    expect(() => of({ groups: ['a\nb'] })).toThrow(/control/)
    expect(() => of({ groups: ['half \ud83d'] })).toThrow(/control/)
  })

  test('claims that are lists, numbers or truth values become one each', () => {
    const claims = { env: ['a', 'b', 'a', ''], n: 7, ok: true, none: null }
    expect(of(claims, { groups_from: ['env', 'n', 'ok', 'none', 'missing'] })).toEqual([
      'env=a',
      'env=b',
      'n=7',
      'ok=true',
    ])
    expect(() => of({ env: { a: 1 } }, { groups_from: ['env'] })).toThrow(TokenError)
    expect(() => of({ env: 0.5 }, { groups_from: ['env'] })).toThrow(TokenError)
    expect(() => of({ env: 'x', groups: ['env=y'] }, { groups_from: ['env'] })).toThrow(/looks like a claim/)
  })
})

test('whatever an issuer says, it is somebody or refused', () => {
  const value = fc.oneof(fc.jsonValue({ maxDepth: 3 }), fc.string(), fc.array(fc.string()))
  const name = fc.constantFrom(
    'sub',
    'act',
    'groups',
    'email',
    'email_verified',
    'name',
    'owner',
    'azp',
    'a.b',
    'a',
    '__proto__',
    '_claim_names',
  )
  fc.assert(
    fc.property(
      fc.dictionary(name, value),
      fc.constantFrom('sub', 'email', 'a.b', 'azp'),
      fc.constantFrom('groups', 'a.b', 'a.b.c', 'email'),
      fc.constantFrom('agents' as const, 'people' as const, 'both' as const),
      (claims, subject, groups, whose) => {
        try {
          const config = entry({ issuer: iss, subject, groups, for: whose, groups_from: ['a'] })
          const principal = principalOf({ ...claims, iss, exp: 4_000_000_000 }, config, roles)
          const texts = [principal.subject, principal.name, ...principal.groups]
          return (
            principal.id === `${iss}#${principal.subject}` &&
            texts.every((one) => typeof one === 'string' && !/\p{Cc}/u.test(one))
          )
        } catch (error) {
          return error instanceof TokenError
        }
      },
    ),
    { seed: 10, numRuns: 2000 },
  )
})
