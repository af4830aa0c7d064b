import fc from 'fast-check'
import { expect, it } from 'vitest'
import { Asciicast } from './asciicast.ts'
import { base64, utf8 } from './ledger/encoding.ts'
import { RecordingLine } from './recording.ts'

const header = {
  type: 'header',
  format: 'countersign-recording/1',
  session: 'se_a',
  connection: 'web-1',
  protocol: 'ssh',
  mode: 'enforce',
  agent: { id: 'i#ci', issuer: 'i', subject: 'ci', name: 'ci\u202e', groups: [] },
  client: { address: '127.0.0.1' },
  startedAt: '2026-11-22T10:00:00.000Z',
  resultBound: { rows: 1, bytes: 1 },
}

const command = (id: string, text: string, outcome = 'allow') => ({
  type: 'command',
  command: id,
  text,
  parameters: [],
  kind: 'exec',
  effects: [],
  digest: 'sha256:0',
  verdict: { outcome, policies: [] },
})

const exit = (channel: string, how: object) => ({
  type: 'exit',
  channel,
  ...how,
  bytes: { stdin: 0, stdout: 0, stderr: 0 },
  sha256: { stdin: '', stdout: '', stderr: '' },
})

const output = (channel: string, data: unknown, more: object = {}) => ({
  ...{ type: 'output', channel, stream: 'stdout', data, ...more },
})

/** The cast of channel 1, each event a quarter of a second after the one before. */
function castOf(events: object[], version: 2 | 3 = 3): unknown[] {
  const cast = new Asciicast('1', version)
  let text = cast.line(RecordingLine.parse(header))
  events.forEach((event, at) => {
    text += cast.line(RecordingLine.parse({ seq: at + 1, t: at * 250, ...event }))
  })
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => JSON.parse(line))
}

const events = (cast: unknown[]) => cast.slice(1).map((event) => (event as unknown[]).slice(1))

it('makes a cast of one channel among others', () => {
  const cast = castOf([
    command('a', 'sleep 1'),
    { type: 'channel', channel: '2', command: 'a', kind: 'exec' },
    command('b', 'make\ntest', 'hold'),
    { type: 'hold', command: 'b', approval: 'ap_1', state: 'pending' },
    { type: 'hold', command: 'b', approval: 'ap_1', state: 'approved', by: ['Ada'], reason: 'fine\u001b[2J' },
    {
      ...{ type: 'channel', channel: '1', command: 'b', kind: 'exec', environment: { LANG: 'C' } },
      terminal: { type: 'xterm', columns: 100, rows: 30 },
    },
    output('2', 'not this'),
    output('1', 'a\n', { masked: ['email'] }),
    output('1', 'b\n', { masked: ['email'], stream: 'stderr' }),
    { type: 'input', channel: '1', data: 'y\r' },
    { type: 'input', channel: '1', hidden: 8 },
    { type: 'resize', channel: '1', columns: 120, rows: 40 },
    { type: 'resize', channel: '1', columns: 0, rows: 0 },
    { type: 'signal', channel: '1', signal: 'TERM' },
    output('1', 'countersign: no\n', { stream: 'stderr', notice: true }),
    exit('2', { code: 9 }),
    exit('1', { signal: 'TERM', truncated: ['stdout'] }),
    { type: 'end', state: 'closed', reason: 'gone' },
  ])
  expect(cast).toEqual([
    {
      version: 3,
      term: { cols: 100, rows: 30, type: 'xterm' },
      timestamp: Date.parse('2026-11-22T10:00:01Z') / 1000,
      command: 'make␤test',
      title: 'ci\\u{202e} on web-1, se_a',
      env: { LANG: 'C' },
    },
    [0, 'm', 'held for approval ap_1'],
    [0, 'm', 'approved by Ada: fine\\u{1b}[2J'],
    [0.5, 'm', 'masked: email'],
    [0, 'o', 'a\n'],
    [0.25, 'o', 'b\n'],
    [0.25, 'i', 'y\r'],
    [0.25, 'm', '8 bytes typed unseen'],
    [0.25, 'r', '120x40'],
    [0.5, 'm', 'signal TERM'],
    [0.25, 'o', 'countersign: no\r\n'],
    [0.5, 'm', 'not kept whole: stdout'],
    [0, 'm', 'ended by signal TERM'],
    [0, 'x', '143'],
  ])
})

it('makes version 2 for players that know no other: times since the beginning, its exit as a marker', () => {
  const terminal = { type: 'xterm', columns: 100, rows: 30 }
  const cast = castOf(
    [
      command('b', 'make'),
      { type: 'channel', channel: '1', command: 'b', kind: 'exec', environment: { LANG: 'C' }, terminal },
      output('1', 'a\n'),
      { type: 'input', channel: '1', data: 'y\r' },
      { type: 'resize', channel: '1', columns: 120, rows: 40 },
      exit('1', { code: 3 }),
    ],
    2,
  )
  expect(cast).toEqual([
    {
      ...{ version: 2, width: 100, height: 30, timestamp: Date.parse('2026-11-22T10:00:00Z') / 1000 },
      ...{ command: 'make', title: 'ci\\u{202e} on web-1, se_a', env: { LANG: 'C', TERM: 'xterm' } },
    },
    [0.25, 'o', 'a\n'],
    [0.5, 'i', 'y\r'],
    [0.75, 'r', '120x40'],
    [1, 'm', 'exit 3'],
  ])
})

it.each([
  [{ columns: 0, rows: 0 }, 80, 24],
  [{ columns: 4_294_967_295, rows: 4_294_967_295 }, 1000, 500],
])('a terminal of %o is one of %i × %i', (size, cols, rows) => {
  const [first] = castOf([
    { type: 'channel', channel: '1', command: 'a', kind: 'shell', terminal: { type: '', ...size } },
  ])
  expect(first).toMatchObject({ term: { cols, rows } })
})

it.each([
  ['KILL', '137'],
  ['BUS@example.com', '128'],
  ['constructor', '128'],
  ['__proto__', '128'],
])('a command that was ended by %s has exit status %s', (signal, status) => {
  const cast = castOf([{ type: 'channel', channel: '1', command: 'a', kind: 'exec' }, exit('1', { signal })])
  expect(events(cast).map(([, text]) => text)).toEqual([`ended by signal ${signal}`, status])
})

it('adds the carriage returns of a terminal to what has none', () => {
  const lines = ['a\nb', '\r\nc\r', '\n\n', 'd\r', 'e\n']
  const cast = castOf([
    { type: 'channel', channel: '1', command: 'a', kind: 'exec' },
    ...lines.map((l) => output('1', l)),
  ])
  expect(
    events(cast)
      .map(([, text]) => text)
      .join(''),
  ).toBe('a\r\nb\r\nc\r\n\r\nd\re\r\n')
})

it('says why it ends where the session was ended', () => {
  const cast = castOf([
    { type: 'channel', channel: '1', command: 'a', kind: 'exec' },
    output('1', { base64: base64(utf8('ä').subarray(0, 1)) }),
    { type: 'end', state: 'terminated', reason: 'frozen by Ada' },
  ])
  expect(events(cast)).toEqual([
    ['o', '\ufffd'],
    ['m', 'session terminated: frozen by Ada'],
  ])
})

it('puts characters together again that were cut between events', () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 40 }),
    fc.string({ unit: 'grapheme', maxLength: 20 }).map((text) => utf8(text)),
  )
  fc.assert(
    fc.property(bytes, fc.array(fc.nat(40), { maxLength: 6 }), (all, cuts) => {
      const at = [...new Set(cuts.filter((cut) => cut < all.length))].sort((a, b) => a - b)
      const pieces = [0, ...at].map((from, i) => all.subarray(from, at[i] ?? all.length))
      const cast = castOf([
        { type: 'channel', channel: '1', command: 'a', kind: 'shell', terminal: { type: 'x', columns: 1, rows: 1 } },
        ...pieces.map((piece) => output('1', { base64: base64(piece) })),
        exit('1', { code: 0 }),
      ])
      const shown = events(cast)
        .filter(([code]) => code === 'o')
        .map(([, text]) => text)
      expect(shown.join('')).toBe(new TextDecoder('utf-8', { ignoreBOM: true }).decode(all))
      expect(events(cast).at(-1)).toEqual(['x', '0'])
    }),
    { seed: 7, numRuns: 300 },
  )
})

it('adds no rounding up', () => {
  const cast = new Asciicast('1')
  const times = [0.1004, 0.2008, 0.3012, 12.3456, 99_999.9996]
  const opening = { seq: 1, t: 0.1, type: 'channel', channel: '1', command: 'a', kind: 'exec' }
  let text = cast.line(RecordingLine.parse(opening))
  for (const t of times) text += cast.line(RecordingLine.parse({ seq: 2, t, ...output('1', 'x') }))
  const intervals = text
    .split('\n')
    .slice(1, -1)
    .map((line) => (JSON.parse(line) as [number])[0])
  expect(intervals.reduce((sum, one) => sum + one, 0)).toBeCloseTo((99_999.9996 - 0.1) / 1000, 5)
})
