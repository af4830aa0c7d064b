import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Ranges } from './ranges.ts'

describe('ranges', () => {
  it('are what they say, however they overlap', () => {
    const range = fc.tuple(fc.nat(60), fc.integer({ min: -2, max: 20 }))
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), range, (given, [from, more]) => {
        const ranges = new Ranges<number>()
        for (const [i, [first, length]] of given.entries()) ranges.add(first, first + length, i)
        ranges.sort()
        const holds = (n: number) => given.some(([first, length]) => first <= n && n <= first + length)
        const outside = new Set([...ranges.outside(from, from + more)].flatMap(([a, b]) => listed(a, b)))
        for (const n of listed(from, from + more)) expect(outside.has(n)).toBe(!holds(n))
        for (let n = 0; n < 85; n++) expect(ranges.valueOf(n) !== undefined).toBe(holds(n))
      }),
      { seed: 7 },
    )
  })

  it('are looked up among very many', () => {
    const ranges = new Ranges<number>()
    for (let n = 0; n < 300_000; n++) ranges.add(3 * n, 3 * n + 1, n)
    ranges.sort()
    let left = 0
    let wrong = 0
    for (let n = 0; n < 300_000; n++) {
      for (const [first, last] of ranges.outside(3 * n, 3 * n + 2)) left += last - first + 1
      if (ranges.valueOf(3 * n + 1) !== n || ranges.valueOf(3 * n + 2) !== undefined) wrong++
    }
    expect([left, wrong]).toEqual([300_000, 0])
  })
})

const listed = (first: number, last: number) =>
  Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i)
