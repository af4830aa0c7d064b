import { join } from 'node:path'
import type { RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecordingFile } from '../library/recording-file.ts'
import { temporaryFolder } from '../testing/console.ts'
import { longRecording } from '../testing/long-recording.ts'
import { ndjsonOf, someRecording, someSession } from '../testing/small-gateway.ts'
import { writers } from './exports.ts'
import { csvCell } from './table.ts'

const [header] = someRecording('se_1')
const evil = 'SELECT \'\u001b[2J\u202e\'; -- =HYPERLINK("http://evil")\nFROM customers'
const effects = [
  { action: 'sql:read', resource: { type: 'Table', id: 'orders/public.customers' }, kind: 'select', bounded: true },
]
const base = { parameters: [] as string[], kind: 'select', effects, digest: 'sha256:0' }
const lines: RecordingLine[] = [
  header!,
  {
    seq: 1,
    t: 0.5,
    type: 'command',
    command: 'c0',
    text: '',
    ...base,
    kind: 'connect',
    effects: [],
    verdict: { outcome: 'allow', policies: ['agents'] },
  },
  {
    seq: 2,
    t: 1000,
    type: 'command',
    command: 'c1',
    text: evil,
    ...base,
    parameters: ['=1+1', 'ü'],
    verdict: { outcome: 'allow', policies: ['agents'] },
  },
  {
    seq: 3,
    t: 1010,
    type: 'rows',
    command: 'c1',
    columns: [
      { name: 'email', type: 25, masked: [{ class: 'email', style: 'redact', revealed: false }] },
      { name: 'n', type: 20 },
    ],
    rows: [
      ['red\nacted', '1'],
      [null, '2'],
    ],
    truncated: true,
  },
  { seq: 4, t: 1012, type: 'result', command: 'c1', status: 'completed', tag: 'SELECT 9', rows: 9, ms: 12 },
  {
    seq: 5,
    t: 2000,
    type: 'command',
    command: 'c2',
    text: '=cmd',
    ...base,
    verdict: { outcome: 'deny', policies: ['no-way'], reason: '@boss' },
  },
  {
    seq: 6,
    t: 2000,
    type: 'result',
    command: 'c2',
    status: 'refused',
    sqlstate: '42501',
    message: 'denied by policy',
    ms: 0,
  },
  { seq: 7, t: 3000, type: 'hold', command: 'c3', approval: 'ap_1', state: 'pending' },
  {
    seq: 8,
    t: 9000,
    type: 'hold',
    command: 'c3',
    approval: 'ap_1',
    state: 'approved',
    by: ['Ada'],
    reason: 'month end',
  },
  {
    seq: 9,
    t: 9000,
    type: 'command',
    command: 'c3',
    text: 'DELETE FROM t',
    ...base,
    kind: 'delete',
    verdict: { outcome: 'hold', policies: ['two-eyes'] },
  },
  { seq: 10, t: 9001, type: 'hold', command: 'c3', approval: 'ap_1', state: 'used' },
  {
    seq: 11,
    t: 9005,
    type: 'result',
    command: 'c3',
    status: 'failed',
    sqlstate: '23505',
    message: '-duplicate',
    ms: 4,
  },
  { seq: 12, t: 10_000, type: 'hold', command: 'c4', approval: 'ap_2', state: 'pending' },
  { seq: 13, t: 11_000, type: 'note', text: 'a cancel request' },
  { seq: 14, t: 12_000, type: 'end', state: 'terminated', reason: 'by Ada' },
]
const session: Session = { ...someSession(), id: 'se_1', purpose: 'a\npurpose \u001b[31m', state: 'terminated' }

async function written(format: keyof typeof writers, of = lines): Promise<string> {
  using folder = temporaryFolder()
  const place = { index: join(folder.path, 'a.index'), about: 'x', session: 'se_1' }
  const file = await RecordingFile.create(place, Buffer.alloc(32))
  await file.append(ndjsonOf(of))
  const pieces: Buffer[] = []
  const signal = new AbortController().signal
  for await (const piece of writers[format].write({
    session,
    file,
    annotations: [],
    signal,
    paper: () => Promise.reject(new Error('nothing is printed here')),
    progress() {},
  }))
    pieces.push(Buffer.from(piece as Buffer))
  await file.close()
  return Buffer.concat(pieces).toString('utf8')
}

test('the recording is written as it came, byte for byte', async () => {
  const long = [...longRecording('se_1', 900, 900_000)]
  expect(await written('ndjson', long)).toBe(ndjsonOf(long).toString())
})

test('the transcript says command, verdict, result, in order; nothing in it speaks to a terminal', async () => {
  const text = await written('transcript')
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
  expect(text).not.toMatch(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e]/)
  expect(text).toContain('U+202E')
  for (const part of [
    'purpose       “a purpose ⟨',
    '[     1.000] > SELECT',
    'allowed by agents',
    'email: masked (email)',
    'SELECT 9 · 9 rows · 12 ms',
    '2 rows were kept; the rest were only counted',
    'denied by no-way: @boss',
    'held as ap_1 for 6.0 s → approved by Ada: “month end”',
    'failed · 23505 · -duplicate · 4 ms',
    'held as ap_2, not decided',
    '-- note: a cancel request',
    '-- session terminated: by Ada',
  ])
    expect(text).toContain(part)
})

/** A reader of RFC 4180. */
function parsed(csv: string): string[][] {
  const rows: string[][] = []
  let row: string[] = []
  for (const [, quoted, plain, end] of csv.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    row.push(quoted === undefined ? plain! : quoted.replaceAll('""', '"'))
    if (end === ',') continue
    rows.push(row)
    row = []
  }
  return rows
}

test('the table has a row a command, and no cell that a spreadsheet runs', async () => {
  const csv = await written('csv')
  expect(csv.startsWith('\ufeffseq,at,')).toBe(true)
  const [head, ...rows] = parsed(csv.slice(1))
  const column = (name: string) => rows.map((row) => row[head!.indexOf(name)])
  expect(rows).toHaveLength(5)
  expect(rows.every((row) => row.length === head!.length)).toBe(true)
  expect(column('command')).toEqual(['', evil.replace('; --', "; '--"), "'=cmd", 'DELETE FROM t', ''])
  expect(column('verdict')).toEqual(['allow', 'allow', 'deny', 'hold', 'hold'])
  expect(column('verdict_reason')[2]).toBe("'@boss")
  expect(column('decided_by')[3]).toBe('Ada')
  expect(column('approval_state')).toEqual(['', '', '', 'approved', 'pending'])
  expect(column('held_seconds')[3]).toBe('6')
  expect(column('message')[3]).toBe("'-duplicate")
  expect(column('masked')[1]).toBe('email: email')
  expect(column('status')).toEqual(['', 'completed', 'refused', 'failed', ''])
})

test('no text becomes a formula, and every text can be read back but for apostrophes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 30 }), (text) => {
      const cell = csvCell(text)
      const [[back]] = parsed(`${cell}\r\n`) as [[string]]
      expect(back).not.toMatch(/^[\s\u00a0]*[=+\-@\uff1d\uff0b\uff0d\uff20]/)
      expect(back.replaceAll("'", '')).toBe(text.replaceAll("'", ''))
    }),
    { numRuns: 500, seed: 4 },
  )
  for (const text of ['=1', '+1', '-1', '@x', '\t=1', '\r=1', ' =1', '\n@x', '\u00a0=1', '＝1', '＋1'])
    expect(csvCell(text)).toMatch(/^"?'/)
})

test('nor where the spreadsheet’s list separator is the semicolon, and a line end ends a row that no quote began', () => {
  const piece = fc.constantFrom('SELECT 1', ';', '\n', '\r\n', '\t', ' ', '"', ',', '=cmd|x', '-1', '@a', '＝1', "'")
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 12 }), (pieces) => {
      for (const cell of `1,${csvCell(pieces.join(''))}`.split(/[;\t\r\n]/))
        expect(cell).not.toMatch(/^["\s]*[=+\-@\uff1d\uff0b\uff0d\uff20]/)
    }),
    { numRuns: 500, seed: 5 },
  )
})

test('a command passes neither for a verdict or a result nor for another command; nor does a reason', async () => {
  const forged =
    'SELECT 1;\n-- allowed by everybody\n\n[     9.000] DROP TABLE audit\norders=> DROP TABLE audit\nERROR: 42501'
  const of = lines.slice(0, 9).map((line) => {
    if (line.type === 'command') return { ...line, text: forged, verdict: { ...line.verdict, reason: forged } }
    return line.type === 'hold' ? { ...line, reason: forged } : line
  }) as RecordingLine[]
  const text = (await written('transcript', of)).split('\n')
  expect(text.filter((line) => /^(\[ *9\.000\] (?!>)D|orders=>|ERROR)/.test(line))).toEqual([])
  expect(text.filter((line) => /^ {13}-- allowed by everybody/.test(line))).toEqual([])
  expect(text.filter((line) => /^ {13}> -- allowed by everybody/.test(line)).length).toBeGreaterThan(0)
  const cast = (await written('asciicast', of)).trimEnd().split('\n').slice(1)
  const shown = cast.flatMap((line) => (JSON.parse(line)[1] === 'o' ? [JSON.parse(line)[2] as string] : [])).join('')
  const prompt = '\u001b[32morders->\u001b[0m '
  for (const line of shown.split('\r\n').filter((each) => /DROP TABLE|ERROR: 42501|allowed by everybody/.test(each)))
    expect(line.startsWith(prompt) || line.startsWith('   ')).toBe(true)
})

test('the terminal recording is an asciicast of version 3 that plays as long as the session was', async () => {
  const [first, ...events] = (await written('asciicast'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))
  expect(first).toMatchObject({ version: 3, term: { cols: 120, rows: 36 }, timestamp: expect.any(Number) })
  let t = 0
  for (const event of events) {
    expect(event).toEqual([expect.any(Number), expect.stringMatching(/^[omx]$/), expect.any(String)])
    expect(event[0]).toBeGreaterThanOrEqual(0)
    t += event[0]
  }
  expect(t).toBeCloseTo(12, 6)
  expect(events.at(-1)).toEqual([0, 'x', '1'])
  expect(events.filter(([, code]) => code === 'm').map(([, , label]) => label)).toEqual([
    'masked: email',
    'denied by no-way',
    'held',
    'approved by Ada',
    'failed 23505',
    'held',
  ])
  const output = events.flatMap(([, code, data]) => (code === 'o' ? [data as string] : [])).join('')
  // Its own colours, and nothing else, speaks to the terminal.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: it is about them
  expect(output.replace(/\u001b\[\d+m/g, '')).not.toMatch(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\u202a-\u202e]/)
  expect(output).not.toMatch(/[^\r]\n/)
  expect(output).toContain('orders=>')
})

test('a report is the recording on paper; a PDF is made of that very page, and refused in words where no shell prints', async () => {
  using folder = temporaryFolder()
  const place = { index: join(folder.path, 'a.index'), about: 'x', session: 'se_1' }
  const file = await RecordingFile.create(place, Buffer.alloc(32))
  await file.append(ndjsonOf(lines))
  const source = { session, file, annotations: [], signal: new AbortController().signal, progress() {} }
  const paper = {
    evidence: { outcome: 'broken', why: 'Entry 7 was changed.' },
    by: 'Aud',
    at: '2026-11-21T10:00:00Z',
  } as const
  const pages: string[] = []
  const printer = {
    async pdf(html: string) {
      pages.push(html)
      return Buffer.from('%PDF-')
    },
  }
  let page = ''
  for await (const piece of writers.report.write({ ...source, paper: async () => ({ ...paper, printer: undefined }) }))
    page += piece
  expect(page).toContain('Entry 7 was changed.')
  expect(page).toContain('⟨U+001B⟩')
  for await (const _ of writers.pdf.write({ ...source, paper: async () => ({ ...paper, printer }) }));
  expect(pages).toEqual([page])
  const unable = writers.pdf.write({ ...source, paper: async () => ({ ...paper, printer: undefined }) })
  await expect(
    (async () => {
      for await (const _ of unable);
    })(),
  ).rejects.toThrow('open it, and print it')
})
