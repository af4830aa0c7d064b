import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { canonical, parseCanonical } from '../canonical.ts'
import { fromUtf8, hex, utf8 } from './encoding.ts'
import { formatOpening, makeEntry, opens, parseLeaf, parseOpening, payloadValue, sealEntry } from './entry.ts'
import { crypto } from './testing/world.ts'

const { sha256 } = crypto
const salt = sha256(utf8('salt'))
const at = '2026-11-21T10:00:00.000Z'
const payload = {
  connection: 'orders',
  by: { id: 'i#a', issuer: 'i', subject: 'a', name: 'Ada' },
  reason: 'incident "7"\n',
}

describe('an entry', () => {
  it('is canonical JSON that commits to salt and payload, and says no more than type and time', () => {
    const entry = makeEntry(sha256, { n: 7, at, type: 'connection.frozen', payload, salt })
    const commitment = hex(sha256(salt, entry.payload))
    expect(fromUtf8(entry.leaf)).toBe(
      `{"at":"${at}","commitment":"${commitment}","n":7,"type":"connection.frozen","v":1}`,
    )
    expect(fromUtf8(entry.payload)).toBe(
      '{"by":{"id":"i#a","issuer":"i","name":"Ada","subject":"a"},"connection":"orders","reason":"incident \\"7\\"\\n"}',
    )
    const leaf = parseLeaf(entry.leaf)!
    expect(leaf).toEqual({ v: 1, n: 7, at, type: 'connection.frozen', commitment })
    expect(opens(sha256, leaf, salt, entry.payload)).toBe(true)
    expect(opens(sha256, leaf, salt, utf8('{}'))).toBe(false)
    // A salt of another length could give a part of itself to the payload.
    expect(opens(sha256, leaf, salt.subarray(0, 31), formatOpening(salt.subarray(31), entry.payload))).toBe(false)
    expect(parseOpening(formatOpening(salt, entry.payload))).toEqual({
      salt: new Uint8Array(salt),
      payload: entry.payload,
    })
    expect(payloadValue(entry.payload)).toEqual(payload)
  })

  it('of an unknown type is an entry too', () => {
    const entry = sealEntry(sha256, { n: 0, at: new Date(at), type: 'review.signed-off', payload: ['anything'], salt })
    expect(parseLeaf(entry.leaf)?.type).toBe('review.signed-off')
  })

  it('is not made of a payload of another form, a short salt, or a time or type that is none', () => {
    expect(() =>
      makeEntry(sha256, { n: 0, at, type: 'connection.frozen', payload: { connection: 'a' } as never, salt }),
    ).toThrow()
    expect(() => sealEntry(sha256, { n: 0, at, type: 'a', payload: 1, salt: salt.subarray(1) })).toThrow(/32 bytes/)
    for (const bad of [
      { at: '2026-11-21' },
      { at: '2026-02-30T10:00:00.000Z' },
      { type: 'A' },
      { type: '' },
      { type: 'a"b' },
      { n: -1 },
      { n: 0.5 },
    ])
      expect(() => sealEntry(sha256, { n: 0, at, type: 'a', payload: 1, salt, ...bad })).toThrow(/makes no leaf/)
    expect(() => sealEntry(sha256, { n: 0, at, type: 'a', payload: '\ud800', salt })).toThrow(TypeError)
  })

  it('has one spelling', () => {
    const leaf = fromUtf8(makeEntry(sha256, { n: 7, at, type: 'connection.frozen', payload, salt }).leaf)!
    const others = [
      ` ${leaf}`,
      `${leaf}\n`,
      leaf.replace('"n":7', '"n":07'),
      leaf.replace('"n":7', '"n":7.0'),
      leaf.replace('"v":1', '"v":2'),
      leaf.replace(',"v":1', ''),
      leaf.replace('"n":7', '"n":7,"x":1'),
      `\ufeff${leaf}`,
      leaf.replace('"n":7', '"n":99999999999999999'),
    ]
    for (const other of others) expect(parseLeaf(utf8(other))).toBeUndefined()
  })
})

describe('canonical JSON', () => {
  it('sorts as RFC 8785 does (its example of section 3.2.3)', () => {
    const value = { '\u20ac': 1, '\r': 2, '\ufb33': 3, '1': 4, '\ud83d\ude00': 5, '\u0080': 6, '\u00f6': 7 }
    expect(canonical(value)).toBe('{"\\r":2,"1":4,"\u0080":6,"\u00f6":7,"\u20ac":1,"\ud83d\ude00":5,"\ufb33":3}')
    expect(canonical([JSON.parse('333333333.33333329'), 1e30, 4.5, 2e-3, 0.000000000000000000000000001])).toBe(
      '[333333333.3333333,1e+30,4.5,0.002,1e-27]',
    )
  })
  it('is read back, and refused in any other spelling', () => {
    fc.assert(
      fc.property(fc.jsonValue(), (value) => {
        const text = canonical(value)
        expect(canonical(parseCanonical(text)!.value)).toBe(text)
        expect(parseCanonical(` ${text}`)).toBeUndefined()
      }),
      { numRuns: 300, seed: 9 },
    )
    for (const text of ['{"b":1,"a":2}', '{"a":1,"a":1}', '1.0', '"\\u0061"', '-0', '{"a": 1}', '[', '"\\ud800"'])
      expect(parseCanonical(text)).toBeUndefined()
    expect(parseCanonical('['.repeat(200_000))).toBeUndefined()
  })
})
