import { describe, expect, test } from 'vitest'
import { Environment } from './environment.ts'

const of = (variables: [string, string][]) => {
  const environment = new Environment()
  const taken = variables.map(([name, value]) => environment.set(name, value))
  return { environment, taken }
}

describe('what passes', () => {
  test.each([
    ['LANG', true],
    ['LC_ALL', true],
    ['LC_', true],
    ['LANGUAGE', false],
    ['APP', true],
    ['APP_X', false],
    ['MY_', true],
    ['MY_X', true],
    ['LD_PRELOAD', false],
    ['BASH_ENV', false],
  ])('%s: %s', (name, passes) => {
    const { environment } = of([[name, 'x']])
    expect(Object.keys(environment.passing(['APP', 'MY_*']))).toEqual(passes ? [name] : [])
  })

  test.each([
    ['BASH_FUNC_x%%', '() { :; }'],
    ['A=B', 'x'],
    ['', 'x'],
    ['1A', 'x'],
    ['__proto__\0', 'x'],
    ['LANG', 'a\0b'],
    ['LANG', 'no \ufffd UTF-8'],
  ])('%j=%j is not taken, whatever is allowed', (name, value) => {
    const { environment, taken } = of([[name, value]])
    expect(taken).toEqual([false])
    expect(environment.passing(['*'])).toEqual({})
  })

  test('a name of JavaScript’s own is a name', () => {
    const { environment } = of([['__proto__', 'x']])
    expect(Object.entries(environment.passing(['*']))).toEqual([['__proto__', 'x']])
  })

  test('the last value counts, in the order of names', () => {
    const { environment } = of([
      ['LC_B', '1'],
      ['LC_A', '2'],
      ['LC_B', '3'],
    ])
    expect(JSON.stringify(environment.passing([]))).toBe('{"LC_A":"2","LC_B":"3"}')
  })

  test('so many, and so much of all, and no more', () => {
    const many = of([...Array(200).keys()].map((n) => [`V${n}`, 'x']))
    expect(many.taken.filter(Boolean)).toHaveLength(128)
    expect(many.environment.set('V0', 'y')).toBe(true)
    const { environment } = of([])
    expect(environment.set('A', 'x'.repeat(65_000))).toBe(true)
    expect(environment.set('B', 'x'.repeat(1000))).toBe(false)
    expect(environment.set('A', '')).toBe(true)
    expect(environment.set('B', 'x'.repeat(1000))).toBe(true)
  })
})

describe('what the gateway is told', () => {
  test('purpose and hold, which go no further', () => {
    const { environment, taken } = of([
      ['COUNTERSIGN_PURPOSE', 'why'],
      ['COUNTERSIGN_HOLD', 'fail'],
    ])
    expect(taken).toEqual([true, true])
    expect(environment.wishes).toEqual({ purpose: 'why', hold: 'fail' })
    expect(environment.passing(['*'])).toEqual({})
    expect(environment.wrong).toBeUndefined()
  })

  test.each([
    ['COUNTERSIGN_HOLD', 'FAIL', '`wait` or `fail`'],
    ['COUNTERSIGN_PURPOSE', 'x'.repeat(1001), 'at most 1000'],
    ['COUNTERSIGN_PURPOSE', 'one\ntwo', 'is a line'],
    ['COUNTERSIGN_PURPOSE', 'see \u202e this', 'is a line'],
    ['COUNTERSIGN_PURPOES', 'x', 'there is no COUNTERSIGN_PURPOES'],
    ['COUNTERSIGN_\u001b[2J', 'x', 'there is no COUNTERSIGN_??2J'],
  ])('%s=%s is wrong, and says so', (name, value, words) => {
    const { environment, taken } = of([[name, value]])
    expect(taken).toEqual([false])
    expect(environment.wrong).toContain(words)
  })
})
