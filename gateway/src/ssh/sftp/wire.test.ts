import fc from 'fast-check'
import { expect, test } from 'vitest'
import { requestOf } from './requests.ts'
import { Framer, FXP, greeting, Malformed, packet, packetWith, status } from './wire.ts'

const attributes = Buffer.alloc(4)
/** One of each that is served. */
const samples: Buffer[] = [
  packetWith(FXP.OPEN, 1, ['/a', 1], attributes),
  packet(FXP.CLOSE, 2, 'h'),
  packetWith(FXP.READ, 3, ['h'], Buffer.alloc(12)),
  packetWith(FXP.WRITE, 4, ['h'], Buffer.concat([Buffer.alloc(8), Buffer.from([0, 0, 0, 1, 7])])),
  packet(FXP.STAT, 5, '/a'),
  packet(FXP.FSTAT, 6, 'h'),
  packetWith(FXP.SETSTAT, 7, ['/a'], attributes),
  packetWith(FXP.FSETSTAT, 8, ['h'], attributes),
  packet(FXP.RENAME, 9, '/a', '/b'),
  packet(FXP.SYMLINK, 10, '/a', '/b'),
  packet(FXP.EXTENDED, 11, 'posix-rename@openssh.com', '/a', '/b'),
  packet(FXP.EXTENDED, 12, 'hardlink@openssh.com', '/a', '/b'),
  packetWith(
    FXP.EXTENDED,
    13,
    ['copy-data', 'h'],
    Buffer.concat([Buffer.alloc(16), packet(1, 0, 'g').subarray(9), Buffer.alloc(8)]),
  ),
  packet(FXP.EXTENDED, 14, 'users-groups-by-id@openssh.com', '', ''),
  packet(FXP.EXTENDED, 15, 'limits@openssh.com'),
]

test('however a stream is cut, the packets are the same', () => {
  const each = fc.uint8Array({ minLength: 1, maxLength: 600 })
  fc.assert(
    fc.property(
      fc.array(each, { maxLength: 20 }),
      fc.array(fc.integer({ min: 1, max: 700 }), { minLength: 1 }),
      (bodies, cuts) => {
        const packets = bodies.map((body) => {
          const length = Buffer.alloc(4)
          length.writeUInt32BE(body.length)
          return Buffer.concat([length, body])
        })
        const whole = Buffer.concat(packets)
        const framer = new Framer()
        const seen: Buffer[] = []
        for (let at = 0, n = 0; at < whole.length; n++) {
          const cut = cuts[n % cuts.length]!
          framer.push(whole.subarray(at, at + cut), (packet) => seen.push(Buffer.from(packet)))
          at += cut
        }
        expect(seen).toEqual(packets)
        expect(framer.midPacket).toBe(false)
      },
    ),
    { numRuns: 300, seed: 11 },
  )
})

test.each([
  ['no type', [0, 0, 0, 0]],
  ['longer than any', [0, 4, 0, 1]],
  ['endless', [255, 255, 255, 255]],
])('a length that can’t be is told before a byte of it is kept: %s', (_, bytes) => {
  expect(() => new Framer().push(Buffer.from(bytes), () => {})).toThrow(Malformed)
})

test('each request that is served is read whole; one byte less or more is malformed', () => {
  for (const sample of samples) {
    expect(requestOf(sample).op).not.toMatch(/unknown|unfit/)
    for (let length = 5; length < sample.length; length++)
      expect(() => requestOf(sample.subarray(0, length)), `${sample[4]} of ${length}`).toThrow(Malformed)
    expect(() => requestOf(Buffer.concat([sample, Buffer.alloc(1)])), `${sample[4]} and more`).toThrow(Malformed)
  }
})

test('bytes are a request or malformed, and nothing else', () => {
  const changed = fc.tuple(fc.constantFrom(...samples), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }))
  const any = fc.uint8Array({ minLength: 5, maxLength: 200 }).map((bytes) => Buffer.from(bytes))
  const some = changed.map(([sample, changes]) => {
    const bytes = Buffer.from(sample)
    for (const [at, value] of changes) bytes[4 + (at % (bytes.length - 4))] = value
    return bytes
  })
  fc.assert(
    fc.property(fc.oneof(any, some), (bytes) => {
      try {
        expect(requestOf(bytes).op).toBeTypeOf('string')
      } catch (error) {
        expect(error).toBeInstanceOf(Malformed)
      }
    }),
    { numRuns: 5000, seed: 12 },
  )
})

test.each([
  ['not UTF-8', packet(FXP.STAT, 1, Buffer.from([0x2f, 0xff]))],
  ['a NUL', packet(FXP.REMOVE, 1, '/a\0b')],
  ['too long', packet(FXP.STAT, 1, 'x'.repeat(5000))],
  ['flags of later versions', packetWith(FXP.OPEN, 1, ['/a', 0x40], attributes)],
  ['extended attributes', packetWith(FXP.SETSTAT, 1, ['/a'], Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0]))],
])('a name that can’t be decided on is refused: %s', (_, bytes) => {
  expect(requestOf(bytes).op).toBe('unfit')
})

test('answers are as the draft has them', () => {
  expect(status(7, 3, 'no').toString('hex')).toBe('00000013650000000700000003000000026e6f00000000')
  expect(greeting(FXP.VERSION, 3, [['a', '1']]).toString('hex')).toBe('0000000f020000000300000001610000000131')
})
