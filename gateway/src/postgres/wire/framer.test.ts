import fc from 'fast-check'
import { expect, it } from 'vitest'
import { DROP, Framer, ProtocolViolation, RELAY, WHOLE } from './framer.ts'
import { bindOf, Cursor, columnsOf, message, parse, report, reportFields, valuesOf } from './messages.ts'

/** What becomes of a message is told by its type; a `W` that is whole goes on, an `w` doesn't, `A` and `a` after a wait. */
const plan = { R: RELAY, D: DROP, W: WHOLE, w: WHOLE, A: WHOLE, a: WHOLE } as const
type Kind = keyof typeof plan

const messages = fc.array(
  fc.record({ kind: fc.constantFrom<Kind>('R', 'D', 'W', 'w', 'A', 'a'), body: fc.uint8Array({ maxLength: 300 }) }),
  { maxLength: 30 },
)

it('any chunking gives the same messages, and relays the same bytes in the same order', async () => {
  await fc.assert(
    fc.asyncProperty(
      messages,
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 40 }),
      async (sent, cuts) => {
        const frames = sent.map(({ kind, body }) => message(kind.charCodeAt(0), Buffer.from(body)))
        const whole = Buffer.concat(frames)
        const relayed: Buffer[] = []
        const seen: Buffer[] = []
        const framer = new Framer({
          header: (type) => plan[String.fromCharCode(type) as Kind],
          message: (type, frame) => {
            seen.push(Buffer.from(frame))
            const kind = String.fromCharCode(type)
            if (kind === 'A' || kind === 'a') return Promise.resolve().then(() => kind === 'A')
            return kind === 'W'
          },
          relay: (bytes) => relayed.push(Buffer.from(bytes)),
          failed: (error) => {
            throw error
          },
        })
        for (let at = 0, n = 0; at < whole.length; n++) {
          const cut = cuts[n % cuts.length]!
          framer.push(whole.subarray(at, at + cut))
          at += cut
        }
        while (!framer.settled) await new Promise(setImmediate)
        const goesOn = frames.filter((_, at) => /[RWA]/.test(sent[at]!.kind))
        expect(Buffer.concat(relayed).equals(Buffer.concat(goesOn))).toBe(true)
        const shown = frames.filter((_, at) => /[WwAa]/.test(sent[at]!.kind))
        expect(Buffer.concat(seen).equals(Buffer.concat(shown))).toBe(true)
        expect(framer.midMessage).toBe(false)
      },
    ),
    { numRuns: 200, seed: 7 },
  )
})

it('keeps nothing of a chunk that it was lent', () => {
  fc.assert(
    fc.property(
      messages.map((sent) => sent.filter(({ kind }) => /[RDWw]/.test(kind))),
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 40 }),
      (sent, cuts) => {
        const frames = sent.map(({ kind, body }) => message(kind.charCodeAt(0), Buffer.from(body)))
        const whole = Buffer.concat(frames)
        const relayed: Buffer[] = []
        const seen: Buffer[] = []
        const framer = new Framer({
          header: (type) => plan[String.fromCharCode(type) as Kind],
          message: (type, frame) => {
            seen.push(Buffer.from(frame))
            return type === 0x57
          },
          relay: (bytes) => relayed.push(Buffer.from(bytes)),
          failed: () => {},
        })
        const lent = Buffer.alloc(500)
        for (let at = 0, n = 0; at < whole.length; n++) {
          const cut = whole.subarray(at, at + cuts[n % cuts.length]!)
          cut.copy(lent)
          framer.push(lent.subarray(0, cut.length), true)
          lent.fill(0xff)
          at += cut.length
        }
        const those = (pattern: RegExp) => Buffer.concat(frames.filter((_, at) => pattern.test(sent[at]!.kind)))
        expect(Buffer.concat(relayed).equals(those(/[RW]/))).toBe(true)
        expect(Buffer.concat(seen).equals(those(/[Ww]/))).toBe(true)
      },
    ),
    { numRuns: 200, seed: 7 },
  )
})

it('keeps copies of what it was lent where messages are waited for', async () => {
  await fc.assert(
    fc.asyncProperty(
      messages,
      fc.array(fc.integer({ min: 1, max: 500 }), { minLength: 1, maxLength: 40 }),
      async (sent, cuts) => {
        const frames = sent.map(({ kind, body }) => message(kind.charCodeAt(0), Buffer.from(body)))
        const whole = Buffer.concat(frames)
        const relayed: Buffer[] = []
        const seen: Buffer[] = []
        const framer = new Framer({
          keeps: true,
          header: (type) => plan[String.fromCharCode(type) as Kind],
          message: (type, frame) => {
            seen.push(frame)
            const kind = String.fromCharCode(type)
            return kind === 'A' || kind === 'a'
              ? new Promise((resolve) => setImmediate(resolve, kind === 'A'))
              : kind === 'W'
          },
          relay: (bytes) => relayed.push(Buffer.from(bytes)),
          failed: (error) => {
            throw error
          },
        })
        const lent = Buffer.alloc(500)
        for (let at = 0, n = 0; at < whole.length; n++) {
          const cut = whole.subarray(at, at + cuts[n % cuts.length]!)
          cut.copy(lent)
          framer.push(lent.subarray(0, cut.length), true)
          lent.fill(0xff)
          at += cut.length
          if (n % 3 === 0) await new Promise(setImmediate)
        }
        while (!framer.settled) await new Promise(setImmediate)
        const those = (pattern: RegExp) => Buffer.concat(frames.filter((_, at) => pattern.test(sent[at]!.kind)))
        expect(Buffer.concat(relayed).equals(those(/[RWA]/))).toBe(true)
        expect(Buffer.concat(seen).equals(those(/[WwAa]/))).toBe(true)
      },
    ),
    { numRuns: 100, seed: 7 },
  )
})

it('garbage never does more than a ProtocolViolation', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 50 }), { maxLength: 10 }), (chunks) => {
      const framer = new Framer({
        header: (_type, length) => {
          if (length > 1000) throw new ProtocolViolation('too long')
          return WHOLE
        },
        message: () => true,
        relay: () => {},
        failed: () => {},
      })
      try {
        for (const chunk of chunks) framer.push(Buffer.from(chunk))
      } catch (error) {
        expect(error).toBeInstanceOf(ProtocolViolation)
      }
    }),
    { numRuns: 500, seed: 7 },
  )
})

it('a message that lies about its insides is a RangeError, nothing worse', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (body) => {
      const frame = message(0x42, Buffer.from(body))
      for (const read of [bindOf, columnsOf, valuesOf, reportFields, (bytes: Buffer) => new Cursor(bytes).cstring()]) {
        try {
          read(frame)
        } catch (error) {
          expect(error).toBeInstanceOf(RangeError)
        }
      }
    }),
    { numRuns: 500, seed: 7 },
  )
})

it('bytes of one’s own go between two messages, behind what was already relayed', () => {
  const out: string[] = []
  const framer = new Framer({
    header: () => WHOLE,
    message: (type) => {
      if (type !== 0x32) return true
      framer.flush()
      out.push('own')
      return false
    },
    relay: (bytes) => out.push(`relayed ${bytes.length}`),
    failed: () => {},
  })
  framer.push(Buffer.concat([message(0x31), message(0x31), message(0x32), message(0x33)]))
  expect(out).toEqual(['relayed 10', 'own', 'relayed 5'])
})

it('a report keeps its fields', () => {
  const frame = report({ severity: 'ERROR', code: '42501', message: 'no', detail: 'because', hint: 'do' })
  expect(reportFields(frame)).toEqual({ S: 'ERROR', V: 'ERROR', C: '42501', M: 'no', D: 'because', H: 'do' })
  expect(parse('a', 'SELECT 1').toString('latin1')).toBe('P\0\0\0\x11a\0SELECT 1\0\0\0')
})
