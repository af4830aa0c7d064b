import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Parameter } from '@countersign/contract/approval'
import { type RecordingEvent, RecordingLine } from '@countersign/contract/recording'
import fc from 'fast-check'
import { afterAll, expect, it } from 'vitest'
import { FileRecorder } from '../../sessions/recorder.ts'
import { RecordingError } from '../../sessions/session.ts'
import { type ChannelOpening, ChannelRecord } from './record.ts'
import { LONGEST_PIECE } from './text.ts'

const folder = mkdtempSync(join(tmpdir(), 'countersign-record-'))
afterAll(() => rmSync(folder, { recursive: true }))
let made = 0

/** What a real recorder has written of a channel, read back by the schema. */
async function recorded(
  tell: (record: ChannelRecord) => void,
  { outputBound = 1 << 20, ...opening }: Partial<ChannelOpening> & { outputBound?: number } = {},
): Promise<RecordingEvent[]> {
  const file = join(folder, `${++made}.ndjson`)
  const recorder = await FileRecorder.open({
    file,
    clock: Date.now,
    header: {
      session: 'se_a',
      connection: 'web-1',
      protocol: 'ssh',
      mode: 'enforce',
      agent: { id: 'i#ci', issuer: 'i', subject: 'ci', name: 'ci', groups: [] },
      client: { address: '127.0.0.1' },
      startedAt: new Date().toISOString(),
      resultBound: { rows: 1, bytes: 1 },
      outputBound,
    },
  })
  try {
    tell(new ChannelRecord(recorder, { channel: '1', command: 'c', kind: 'exec', ...opening }))
  } finally {
    await recorder.close()
  }
  const lines = readFileSync(file, 'utf8').split('\n').slice(1, -1)
  return lines.map((line) => RecordingLine.parse(JSON.parse(line)) as RecordingEvent)
}

type Of<T extends RecordingEvent['type']> = Extract<RecordingEvent, { type: T }>
const of = <T extends RecordingEvent['type']>(events: RecordingEvent[], type: T) =>
  events.filter((event): event is Of<T> => event.type === type)
const bytesOf = (data: Parameter | undefined) =>
  typeof data === 'string' ? Buffer.from(data) : data ? Buffer.from(data.base64, 'base64') : Buffer.alloc(0)
const joined = (events: { data?: Parameter | undefined }[]) => Buffer.concat(events.map(({ data }) => bytesOf(data)))
const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
const terminal = { type: 'xterm', columns: 80, rows: 24 }

it('holds what passed, byte for byte, and its sums', async () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 60 }).map((some) => Buffer.from(some)),
    fc.string({ unit: 'grapheme', maxLength: 30 }).map((text) => Buffer.from(text)),
    fc.string({ unit: 'binary-ascii', maxLength: 30 }).map((text) => Buffer.from(text)),
  )
  const stream = fc.constantFrom('stdout', 'stderr', 'stdin')
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(stream, bytes), { maxLength: 8 }), async (said) => {
      const events = await recorded((record) => {
        for (const [stream, chunk] of said) {
          if (stream === 'stdin') record.input(chunk)
          else record.output(stream, chunk)
        }
        record.exit({ code: 3 })
      })
      const whole = (name: string) =>
        Buffer.concat(said.filter(([stream]) => stream === name).map(([, chunk]) => chunk))
      const [stdin, stdout, stderr] = [whole('stdin'), whole('stdout'), whole('stderr')]
      const output = of(events, 'output')
      expect(joined(output.filter(({ stream }) => stream === 'stdout'))).toEqual(stdout)
      expect(joined(output.filter(({ stream }) => stream === 'stderr'))).toEqual(stderr)
      expect(joined(of(events, 'input'))).toEqual(stdin)
      expect(events.at(-1)).toEqual({
        seq: events.length,
        t: expect.any(Number),
        type: 'exit',
        channel: '1',
        code: 3,
        bytes: { stdin: stdin.length, stdout: stdout.length, stderr: stderr.length },
        sha256: { stdin: sha256(stdin), stdout: sha256(stdout), stderr: sha256(stderr) },
      })
    }),
    { seed: 11, numRuns: 150 },
  )
})

it('keeps text as text wherever packets cut it', async () => {
  const text = 'grün – 漢字 – 😀 – ok\r\n'
  const all = Buffer.from(text)
  for (let cut = 0; cut <= all.length; cut++) {
    const events = await recorded((record) => {
      record.output('stdout', all.subarray(0, cut))
      record.output('stdout', all.subarray(cut))
    })
    const output = of(events, 'output')
    expect(joined(output).toString()).toBe(text)
    const base64 = output.filter(({ data }) => typeof data !== 'string')
    expect(joined(base64).length).toBeLessThanOrEqual(4)
  }
})

it('cuts what is large into events that a page can hold', async () => {
  const large = Buffer.alloc(3 * LONGEST_PIECE + 5, 'ä')
  const output = of(await recorded((record) => record.output('stdout', large)), 'output')
  expect(joined(output)).toEqual(large)
  expect(Math.max(...output.map(({ data }) => bytesOf(data).length))).toBeLessThanOrEqual(LONGEST_PIECE)
})

it('keeps each stream up to the bound, and counts and hashes the rest', async () => {
  const events = await recorded(
    (record) => {
      record.output('stdout', Buffer.from('12345678'))
      record.output('stdout', Buffer.from('90ab'))
      record.output('stdout', Buffer.from('cd'))
      record.output('stderr', Buffer.from('1234567890'))
      record.input(Buffer.from('123456789012'))
      record.notice('countersign: still told\n')
      record.exit({ signal: 'KILL' })
    },
    { outputBound: 10 },
  )
  const output = of(events, 'output')
  expect(joined(output.filter(({ stream }) => stream === 'stdout')).toString()).toBe('1234567890')
  expect(joined(output.filter(({ stream }) => stream === 'stderr')).toString()).toBe(
    '1234567890countersign: still told\n',
  )
  expect(joined(of(events, 'input')).toString()).toBe('1234567890')
  expect(events.at(-1)).toMatchObject({
    signal: 'KILL',
    bytes: { stdin: 12, stdout: 14, stderr: 34 },
    sha256: { stdin: sha256('123456789012'), stdout: sha256('1234567890abcd') },
    truncated: ['stdin', 'stdout'],
  })
})

it('holds the masked form of what the client saw, in its sums, too', async () => {
  const masked = { recorded: Buffer.from('ssn [masked: ssn]\n'), classes: ['ssn'] }
  const events = await recorded((record) => {
    record.output('stdout', Buffer.from('ssn 123-45-6789\n'), masked)
    record.exit({ code: 0 })
  })
  expect(of(events, 'output')).toMatchObject([{ data: 'ssn [masked: ssn]\n', masked: ['ssn'] }])
  expect(events.at(-1)).toMatchObject({ bytes: { stdout: 16 }, sha256: { stdout: sha256(masked.recorded) } })
  expect(JSON.stringify(events)).not.toContain('6789')
})

it('tells the channel’s beginning, resizes, signals and the gateway’s own words', async () => {
  const events = await recorded(
    (record) => {
      record.resize(120, 40)
      record.signal('INT')
      record.notice('countersign: held\r\n')
      record.exit({})
      record.exit({ code: 0 })
    },
    { kind: 'shell', terminal, environment: { LANG: 'C' } },
  )
  expect(events.map(({ seq, t, ...event }) => event)).toMatchObject([
    { type: 'channel', channel: '1', command: 'c', kind: 'shell', terminal, environment: { LANG: 'C' } },
    { type: 'resize', columns: 120, rows: 40 },
    { type: 'signal', signal: 'INT' },
    { type: 'output', stream: 'stderr', data: 'countersign: held\r\n', notice: true },
    { type: 'exit', bytes: { stderr: 19 }, sha256: { stderr: sha256('countersign: held\r\n') } },
  ])
  expect(events).toHaveLength(5)
})

it('takes nothing any more once the channel has ended', async () => {
  await recorded((record) => {
    record.exit({ code: 0 })
    const late: (() => void)[] = [
      () => record.output('stdout', Buffer.from('x')),
      () => record.input(Buffer.from('x')),
      () => record.notice('x'),
      () => record.resize(1, 1),
      () => record.signal('INT'),
    ]
    for (const tell of late) expect(tell).toThrow(RecordingError)
  })
})

it('neither keeps nor hashes what is typed unseen', async () => {
  const events = await recorded(
    (record) => {
      for (const key of 'id') {
        record.input(Buffer.from(key))
        record.output('stdout', Buffer.from(key))
      }
      record.input(Buffer.from('\r'))
      record.output('stdout', Buffer.from('\r\nPassword: '))
      record.input(Buffer.from('hunter2\r'))
      record.output('stdout', Buffer.from('\r\nWelcome\r\n$ '))
      record.exit({ code: 0 })
    },
    { kind: 'shell', terminal },
  )
  expect(of(events, 'input').map(({ data, hidden }) => data ?? hidden)).toEqual(['id\r', 8])
  expect(events.at(-1)).toMatchObject({ bytes: { stdin: 11 }, sha256: { stdin: sha256('id\r') } })
})
