import fc from 'fast-check'
import { expect, it } from 'vitest'
import { canonical, canonicalBytes, parseCanonical } from './canonical.ts'

/** RFC 8785 said once more, as simply as can be. */
function plainly(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(plainly).join(',')}]`
  if (typeof value !== 'object' || value === null) return JSON.stringify(value)
  const members = Object.entries(value).filter(([, member]) => member !== undefined)
  return `{${members
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, member]) => `${JSON.stringify(key)}:${plainly(member)}`)
    .join(',')}}`
}

const text = fc.oneof(fc.string(), fc.string({ unit: 'binary' }), fc.string({ minLength: 400, maxLength: 700 }))
const { tree } = fc.letrec((tie) => ({
  leaf: fc.oneof(text, fc.double({ noNaN: true, noDefaultInfinity: true }), fc.boolean(), fc.constant(null)),
  tree: fc.oneof(
    { maxDepth: 4 },
    tie('leaf'),
    fc.array(tie('tree'), { maxLength: 6 }),
    fc.dictionary(text, fc.oneof(tie('tree'), fc.constant(undefined)), { maxKeys: 40 }),
  ),
}))

it('is what RFC 8785 says, as text and as bytes, whatever was written before', () => {
  const kept: { bytes: Uint8Array; text: string }[] = []
  fc.assert(
    fc.property(tree, (value) => {
      const expected = plainly(value)
      expect(canonical(value)).toBe(expected)
      const bytes = canonicalBytes(value)
      expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)).toBe(expected)
      expect(parseCanonical(expected)?.value).toEqual(JSON.parse(expected))
      kept.push({ bytes, text: expected })
    }),
    { numRuns: 500 },
  )
  // Bytes belong to who got them: nothing that came later has touched them.
  for (const { bytes, text } of kept) expect(new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes)).toBe(text)
})

it('of large values, small ones between them, and ones that fail', () => {
  const large = { b: 'ü'.repeat(100_000), a: Array.from({ length: 20_000 }, (_, i) => i) }
  const first = canonicalBytes(large)
  const small = canonicalBytes({ a: 1 })
  expect(() => canonicalBytes({ a: 'x'.repeat(70_000), z: Number.NaN })).toThrow(TypeError)
  expect(() => canonical([1, { a: new Date() }])).toThrow(TypeError)
  for (let i = 0; i < 10_000; i++) canonicalBytes({ i })
  const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes)
  expect(decode(first)).toBe(plainly(large))
  expect(decode(small)).toBe('{"a":1}')
  expect(canonical({})).toBe('{}')
  expect(canonical({ a: undefined })).toBe('{}')
})

it('refuses what has no one form', () => {
  const cycle: unknown[] = []
  cycle.push(cycle)
  for (const bad of [Number.NaN, Infinity, '\ud800', { '\udfff': 1 }, new Date(), new Map(), undefined, () => 1, 1n])
    expect(() => canonical(bad)).toThrow(TypeError)
  expect(() => canonical(cycle)).toThrow(RangeError)
  expect(canonical([2, 1])).toBe('[2,1]')
})
