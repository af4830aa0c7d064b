import type { RecordingLine } from '@countersign/contract/recording'
import { expect, test } from 'vitest'
import type { AnnotationView } from '../../../annotations-api.ts'
import type { RecordingFile } from '../library/recording-file.ts'
import { someSession } from '../testing/small-gateway.ts'
import { type ExportSource, writers } from './exports.ts'

const by = { id: 'https://idp.example#aud', issuer: 'https://idp.example', subject: 'aud', name: 'Aud Berg' }
const note = (from: number, text: string, more: Partial<AnnotationView> = {}): AnnotationView => ({
  id: `an_${'a'.repeat(24)}`,
  session: 'se_1',
  by,
  mine: true,
  state: 'logged',
  from,
  text,
  tags: [],
  madeAt: '2026-11-20T10:00:00.000Z',
  ...more,
})
const command = (seq: number, t: number, text: string): RecordingLine => ({
  type: 'command',
  seq,
  t,
  command: `c${seq}`,
  text,
  parameters: [],
  kind: 'select',
  effects: [],
  digest: 'sha256:00',
  verdict: { outcome: 'allow', policies: [] },
})

/** A recording of two commands, a line a step. */
function source(annotations: AnnotationView[]): ExportSource {
  const lines = [command(1, 1000, 'SELECT 1'), command(2, 5000, 'SELECT 2')]
  const file = {
    ended: true,
    header: undefined,
    index: { steps: 2, linesOf: (from: number, to: number) => [0, 1].slice(from, to) },
    lines: async (numbers: number[]) => numbers.map((n) => lines[n]!),
  }
  return {
    session: { ...someSession(), openedAt: '2026-11-20T09:00:00.000Z' },
    file: file as unknown as RecordingFile,
    annotations,
    signal: new AbortController().signal,
    paper: () => Promise.reject(new Error('nothing is printed here')),
    progress() {},
  }
}

async function written(format: 'transcript' | 'csv', annotations: AnnotationView[]): Promise<string> {
  let text = ''
  for await (const piece of writers[format].write(source(annotations))) text += piece
  return text
}

const notes = [
  note(500, 'before anything'),
  note(1000, 'on\nthe first', { tags: ['a tag'], to: 2000 }),
  note(4999, '\u202eevil\u001b[31m', { state: 'here' }),
  note(9000, '=HYPERLINK("http://evil")', { withdrawn: { at: '2026-11-20T11:00:00.000Z', reason: 'a slip' } }),
]

test('a transcript has the notes where they belong, and nobody takes them for the recording', async () => {
  const text = await written('transcript', notes)
  expect(text.slice(text.indexOf('seconds since')).split('\n').slice(2)).toEqual([
    '[     0.500] | note of Aud Berg, 2026-11-20T10:00:00.000Z',
    '             | before anything',
    '             | (in the log)',
    '',
    '[     1.000] > SELECT 1',
    '             -- allowed',
    '             -- no result recorded',
    '',
    '[     1.000] | note of Aud Berg, 2026-11-20T10:00:00.000Z to 2.000 #a_tag',
    '             | on',
    '             | the first',
    '             | (in the log)',
    '',
    '[     4.999] | note of Aud Berg, 2026-11-20T10:00:00.000Z',
    '             | ⟨U+202E⟩evil⟨U+001B⟩[31m',
    '             | (only on this computer)',
    '',
    '[     5.000] > SELECT 2',
    '             -- allowed',
    '             -- no result recorded',
    '',
    '[     9.000] | note of Aud Berg, 2026-11-20T10:00:00.000Z',
    '             | =HYPERLINK("http://evil")',
    '             | (withdrawn 2026-11-20T11:00:00.000Z: a slip)',
    '',
  ])
})

test('a table has them with the command that they are about, and no formula of theirs runs', async () => {
  const [head, first, second] = (await written('csv', notes)).split('\r\n')
  expect(head!.split(',').at(-1)).toBe('notes')
  expect(first).toContain('SELECT 1')
  for (const text of ['before anything', 'on\nthe first', 'evil', '[a tag]']) expect(first).toContain(text)
  expect(second).toContain('SELECT 2')
  expect(second).toContain('"Aud Berg, 2026-11-20T10:00:00.000Z: =HYPERLINK(""http://evil"") (withdrawn')
  const named = await written('csv', [note(1000, 'x', { by: { ...by, name: '=cmd()' } })])
  expect(named).toContain(',"\'=cmd()')
})
