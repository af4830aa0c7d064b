import { createHash } from 'node:crypto'
import type { NewRecordingEvent, RecordingHeader } from '@countersign/contract/recording'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lineOf } from '../line.ts'
import type { RecordedLine } from './line.ts'
import { CHUNK_BYTES, LONGEST_CHUNK, RecordingTail, type TailEntry, type TailOptions } from './tail.ts'

const session = 'se_abc'
const startedAt = '2026-11-21T10:00:00.000Z'
const header: RecordingHeader = {
  type: 'header',
  format: 'countersign-recording/1',
  session,
  connection: 'orders',
  protocol: 'postgres',
  mode: 'enforce',
  agent: { id: 'https://idp#ci', issuer: 'https://idp', subject: 'ci', name: 'ci', groups: ['g'] },
  client: { address: '127.0.0.1' },
  policy: 'sha256:aa',
  startedAt,
  resultBound: { rows: 10, bytes: 1000 },
}
const sha256 = () => createHash('sha256')
const command = (id: string, outcome: 'allow' | 'deny' | 'hold', text = 'select 1'): NewRecordingEvent => ({
  type: 'command',
  command: id,
  text,
  parameters: [],
  kind: 'select',
  effects: [{ action: 'sql:read', resource: { type: 'Table', id: 'orders/public.t' }, kind: 'select', bounded: true }],
  digest: 'sha256:00',
  verdict: { outcome, policies: ['p'] },
})
const hold = (id: string, state: 'pending' | 'approved' = 'approved'): NewRecordingEvent => ({
  type: 'hold',
  command: id,
  approval: `ap_${id}`,
  state,
})
const end: NewRecordingEvent = { type: 'end', state: 'closed', reason: 'done' }
const note = (text: string): NewRecordingEvent => ({ type: 'note', text })

const linesOf = (...events: NewRecordingEvent[]) =>
  [`${JSON.stringify(header)}\n`, ...events.map((event, i) => lineOf(event, i + 1, (i + 1) * 1500))].map((line) =>
    Buffer.from(line),
  )
const recordingOf = (...events: NewRecordingEvent[]) => Buffer.concat(linesOf(...events))

function read(bytes: Buffer, pieces: number[] = [], options: Partial<TailOptions> = {}) {
  const tail = new RecordingTail(session, { sha256, ...options })
  const entries: TailEntry[] = []
  let from = tail.reads
  for (const size of pieces) {
    // A reader's buffer is used again.
    const piece = Buffer.from(bytes.subarray(from, from + size))
    entries.push(...tail.push(piece))
    piece.fill(0x21)
    from += size
    expect(tail.reads).toBe(Math.min(from, tail.ended ? tail.reads : bytes.length))
  }
  entries.push(...tail.push(bytes.subarray(from)))
  return { tail, entries }
}

const event = fc.oneof(
  fc
    .record({ id: fc.nat(9), outcome: fc.constantFrom('allow', 'deny', 'hold'), text: fc.string({ unit: 'binary' }) })
    .map(({ id, outcome, text }) => command(`c${id}`, outcome as 'allow', text)),
  fc
    .record({ id: fc.nat(9), state: fc.constantFrom('pending', 'approved') })
    .map(({ id, state }) => hold(`c${id}`, state as 'pending')),
  fc.string({ maxLength: 400 }).map(note),
  fc.constantFrom(700_000, 1_100_000).map((length) => note('x'.repeat(length))),
)
const events = fc.array(event, { maxLength: 12 })

describe('a tail', () => {
  it('makes each type of entry', () => {
    const bytes = recordingOf(
      command('a', 'allow'),
      hold('b', 'pending'),
      command('b', 'hold'),
      hold('b'),
      { type: 'result', command: 'b', status: 'completed', ms: 1 },
      command('c', 'deny'),
      end,
    )
    const { entries, tail } = read(bytes)
    const verdict = (outcome: string) => ({ outcome, policies: ['p'] })
    const told = { session, kind: 'select', digest: 'sha256:00', effects: expect.any(Array) }
    expect(entries).toEqual([
      {
        at: startedAt,
        type: 'session.opened',
        payload: {
          session,
          connection: 'orders',
          protocol: 'postgres',
          mode: 'enforce',
          agent: header.agent,
          client: header.client,
          policy: 'sha256:aa',
        },
      },
      {
        at: '2026-11-21T10:00:00.001Z',
        type: 'command',
        payload: { ...told, command: 'a', verdict: verdict('allow') },
      },
      {
        at: '2026-11-21T10:00:00.004Z',
        type: 'command',
        payload: { ...told, command: 'b', verdict: verdict('hold'), approval: 'ap_b' },
      },
      { at: '2026-11-21T10:00:00.009Z', type: 'command', payload: { ...told, command: 'c', verdict: verdict('deny') } },
      {
        at: '2026-11-21T10:00:00.010Z',
        type: 'recording.chunk',
        payload: {
          session,
          index: 0,
          offset: 0,
          length: bytes.length,
          sha256: createHash('sha256').update(bytes).digest('hex'),
        },
      },
      {
        at: '2026-11-21T10:00:00.010Z',
        type: 'session.closed',
        payload: {
          session,
          state: 'closed',
          reason: 'done',
          recording: { bytes: bytes.length, chunks: 1 },
          commands: 3,
        },
      },
    ])
    expect(tail.ended).toBe(true)
    expect(tail.state).toEqual({ offset: bytes.length, seq: 7, chunkFrom: bytes.length, chunks: 1, commands: 3 })
  })

  it.each(['closed', 'terminated', 'interrupted'] as const)('says how a session ended: %s', (state) => {
    const { entries } = read(recordingOf({ ...end, state }))
    expect(entries.at(-1)).toMatchObject({
      type: state === 'interrupted' ? 'session.interrupted' : 'session.closed',
      payload: { state },
    })
  })

  it('makes the same entries of the same bytes, in whatever pieces they come', () => {
    fc.assert(
      fc.property(
        events,
        fc.boolean(),
        fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 30 }),
        (all, ends, pieces) => {
          const bytes = recordingOf(...all, ...(ends ? [end] : []))
          const whole = read(bytes)
          const cut = read(bytes, pieces)
          expect(cut.entries).toEqual(whole.entries)
          expect(cut.tail.state).toEqual(whole.tail.state)
        },
      ),
      { seed: 11, numRuns: 50 },
    )
  })

  it('goes on from every state that it was left in, as if it had never been left', () => {
    fc.assert(
      fc.property(events, fc.nat(), (all, where) => {
        const bytes = recordingOf(...all, end)
        const whole = read(bytes)
        const first = new RecordingTail(session, { sha256 })
        const entries = first.push(bytes.subarray(0, 1 + (where % bytes.length)))
        if (!first.header || first.ended) return
        const told: number[] = []
        const from = { state: first.state, header }
        const second = read(bytes, [3, 1000], { from, onLine: (_, line) => void told.push(line.offset) })
        expect([...entries, ...second.entries]).toEqual(whole.entries)
        expect(told[0]).toBe(first.state.offset)
      }),
      { seed: 12, numRuns: 50 },
    )
  })

  it('covers a recording with chunks without a gap, however it is cut', () => {
    fc.assert(
      fc.property(events, fc.array(fc.integer({ min: 1, max: 400_000 }), { maxLength: 20 }), (all, pieces) => {
        const bytes = recordingOf(...all, end)
        const tail = new RecordingTail(session, { sha256 })
        const entries: TailEntry[] = []
        let from = 0
        for (const size of pieces) {
          entries.push(...tail.push(bytes.subarray(from, from + size)), ...tail.cut(new Date()))
          from += size
        }
        entries.push(...tail.push(bytes.subarray(from)))
        let covered = 0
        const chunks = entries.filter(({ type }) => type === 'recording.chunk').map(({ payload }) => payload)
        for (const [i, { index, offset, length, sha256 }] of chunks.entries()) {
          expect([index, offset]).toEqual([i, covered])
          covered += length as number
          expect(sha256).toBe(
            createHash('sha256')
              .update(bytes.subarray(offset as number, covered))
              .digest('hex'),
          )
        }
        expect(covered).toBe(bytes.length)
        expect(entries.at(-1)!.payload).toMatchObject({ recording: { bytes: covered, chunks: chunks.length } })
      }),
      { seed: 13, numRuns: 50 },
    )
  })

  it('cuts a chunk at the end of a line, and a line that is longer than one into several', () => {
    const bytes = recordingOf(note('x'.repeat(CHUNK_BYTES - 10)), note('y'.repeat(LONGEST_CHUNK * 2)), end)
    const { entries } = read(bytes, [5_000_000, 5_000_000])
    const lengths = entries.flatMap(({ payload }) => (payload.length === undefined ? [] : [payload.length as number]))
    expect(lengths).toHaveLength(5)
    expect(lengths.slice(1, 3)).toEqual([LONGEST_CHUNK, LONGEST_CHUNK])
    expect(lengths.reduce((a, b) => a + b)).toBe(bytes.length)
  })

  it('waits for the line that names the approval, unless nothing follows', () => {
    const [top, held, after] = linesOf(command('b', 'hold'), hold('b')) as [Buffer, Buffer, Buffer]
    const tail = new RecordingTail(session, { sha256 })
    tail.push(top)
    expect(tail.push(held)).toEqual([])
    expect(tail.state.offset).toBe(top.length)
    expect(tail.settle(top.length + held.length - 1)).toEqual([])
    expect(tail.settle(top.length + held.length)).toMatchObject([{ type: 'command', payload: { command: 'b' } }])
    expect(tail.push(after)).toEqual([])
    expect(tail.state.offset).toBe(top.length + held.length + after.length)
  })

  it('lets a torn last line wait', () => {
    const bytes = recordingOf(command('a', 'allow'), command('b', 'allow'))
    const { tail, entries } = read(bytes.subarray(0, -1))
    expect(entries.map(({ type }) => type)).toEqual(['session.opened', 'command'])
    expect(tail.push(bytes.subarray(-1)).map(({ payload }) => payload.command)).toEqual(['b'])
  })

  it('enters nothing twice where a power cut took the end of what was read', () => {
    const lines = linesOf(command('a', 'allow'), command('b', 'allow'), command('c', 'allow'))
    const before = read(Buffer.concat(lines))
    // Lost: b and c; the gateway has mended it with a note and an end that have their numbers.
    const mended = Buffer.concat([
      ...lines.slice(0, 2),
      Buffer.from(lineOf(note('cut'), 2, 4000)),
      Buffer.from(lineOf({ ...end, state: 'interrupted' }, 3, 4000)),
    ])
    const state = { ...before.tail.state, offset: before.tail.state.chunkFrom }
    const { entries, tail } = read(mended, [], { from: { state, header } })
    expect(entries.map(({ type }) => type)).toEqual(['recording.chunk', 'session.interrupted'])
    expect(entries[1]!.payload).toMatchObject({ recording: { bytes: mended.length, chunks: 1 }, commands: 3 })
    expect(tail.ended).toBe(true)
  })

  it.each([
    ['no JSON', 'oh\n'],
    ['no header', lineOf(note('x'), 1, 1)],
    ['the header of another one', `${JSON.stringify({ ...header, session: 'se_b' })}\n`],
  ])('takes nothing of what is no recording: %s', (_, text) => {
    const { tail, entries } = read(Buffer.from(text))
    expect(entries).toEqual([])
    expect(tail.damaged).toMatch(/byte 0/)
    expect(tail.state.offset).toBe(0)
  })

  it('takes what comes before a damaged line', () => {
    const { tail, entries } = read(Buffer.concat([recordingOf(command('a', 'hold')), Buffer.from('{"seq":2,"t"\n')]))
    expect(entries.map(({ type }) => type)).toEqual(['session.opened', 'command'])
    expect(tail.damaged).toBeDefined()
    expect(tail.push(Buffer.from('more\n'))).toEqual([])
  })

  it('gives each line once, and what JSON can spell but UTF-8 can’t as U+FFFD', () => {
    const odd = { ...command('\ud800', 'deny', 'x'), kind: 'a\udfff' } as NewRecordingEvent
    const lines: RecordedLine[] = []
    const { entries } = read(recordingOf(odd, end), [10, 20, 30, 40, 50], {
      onLine: (_, line) => void lines.push(line),
    })
    expect(lines.map(({ type, seq }) => [type, seq])).toEqual([
      ['header', 0],
      ['command', 1],
      ['end', 2],
    ])
    expect(lines[1]!.parsed).toBe(lines[1]!.parsed)
    expect(entries[1]!.payload).toMatchObject({ command: '\ufffd', kind: 'a\ufffd' })
  })
})
