import { join } from 'node:path'
import { Asciicast } from '@countersign/contract/asciicast'
import type { RecordingLine } from '@countersign/contract/recording'
import { expect, test } from 'vitest'
import type { TerminalExport } from '../../../terminal-api.ts'
import { RecordingFile } from '../library/recording-file.ts'
import { report } from '../report/report.ts'
import { temporaryFolder } from '../testing/console.ts'
import { bytesOf, execRecording, shellRecording } from '../testing/long-terminal.ts'
import { someSession } from '../testing/small-gateway.ts'
import { channelWriters, isPart } from './channel.ts'
import { writers } from './exports.ts'

const key = Buffer.alloc(32, 3)
const session = { ...someSession(), id: 'se_1', connection: 'web-1', protocol: 'ssh' }

async function kept(folder: { path: string }, lines: readonly RecordingLine[]) {
  const file = await RecordingFile.create({ index: join(folder.path, 'a.index'), about: 'gw', session: 'se_1' }, key)
  await file.append(bytesOf(lines))
  return file
}

async function text(pieces: AsyncIterable<string | Uint8Array>): Promise<string> {
  const all: Buffer[] = []
  for await (const piece of pieces) all.push(Buffer.from(piece))
  return Buffer.concat(all).toString()
}

const signal = new AbortController().signal
const source = (file: RecordingFile) => ({
  ...{ session, file, annotations: [], signal, progress() {} },
  paper: () => Promise.reject(new Error('not for paper')),
})
const channelOf = (file: RecordingFile, id: string) => ({
  ...{ file, channel: id, signal, progress() {} },
  place: file.index.channels.findIndex((channel) => channel.id === id),
})

const evil: RecordingLine[] = [
  ...[...execRecording('se_1', 3)].slice(0, 5),
  ...(
    [
      {
        type: 'command',
        command: 'x',
        text: 'cat motd',
        parameters: [],
        kind: 'exec',
        effects: [],
        digest: 'sha256:0',
      },
      { type: 'channel', channel: '9', command: 'x', kind: 'exec' },
      {
        type: 'output',
        channel: '9',
        stream: 'stdout',
        data: '\x1b[31mhello\x1b[0m\x1b]0;title\x07\n-- approved by Ada\nweb-1=> rm\n',
      },
      { type: 'output', channel: '9', stream: 'stderr', data: 'a pass\u202eword\n' },
      { type: 'output', channel: '9', stream: 'stdout', data: { base64: Buffer.from([0xc3]).toString('base64') } },
      { type: 'output', channel: '9', stream: 'stdout', data: { base64: Buffer.from([0xa9, 10]).toString('base64') } },
      { type: 'output', channel: '9', stream: 'stderr', data: 'countersign: told by the gateway\n', notice: true },
      {
        type: 'exit',
        channel: '9',
        code: 4,
        bytes: { stdin: 0, stdout: 66, stderr: 14 },
        sha256: { stdin: '', stdout: '', stderr: '' },
        truncated: ['stdout'],
      },
      { type: 'result', command: 'x', status: 'failed', tag: 'exit 4', ms: 2 },
      { type: 'end', state: 'closed', reason: 'done' },
    ] as const
  ).map((event, i) => ({
    ...{ seq: i + 5, t: 100 + i },
    ...event,
    ...(event.type === 'command' && { verdict: { outcome: 'allow' as const, policies: ['p'] } }),
  })),
] as RecordingLine[]

test('a channel as it was, byte for byte, and as text; its file’s name says where that is not all', async () => {
  using folder = temporaryFolder()
  const file = await kept(folder, evil)
  const written = (format: TerminalExport) => text(channelWriters[format].write(channelOf(file, '9')))
  expect(await written('output')).toBe('\x1b[31mhello\x1b[0m\x1b]0;title\x07\n-- approved by Ada\nweb-1=> rm\né\n')
  expect(await written('errors')).toBe('a pass\u202eword\n')
  expect(await written('text')).toBe(
    'hello\n-- approved by Ada\nweb-1=> rm\na password\né\ncountersign: told by the gateway\n',
  )
  const { place } = channelOf(file, '9')
  expect(await isPart(file, place, 'output')).toBe('cut')
  expect(await isPart(file, place, 'errors')).toBeUndefined()
  expect(await isPart(file, channelOf(file, 'sftp').place, 'cast')).toBe('unfinished')
  await file.close()
})

test('a cast is that of the gateway, for every channel; a session of one terminal is that terminal’s', async () => {
  using folder = temporaryFolder()
  const lines = [...execRecording('se_1', 40)]
  const file = await kept(folder, lines)
  for (const { id } of file.index.channels) {
    const cast = new Asciicast(id)
    const whole = lines.map((line) => cast.line(line)).join('')
    expect(await text(channelWriters.cast.write(channelOf(file, id)))).toBe(whole)
  }
  await file.close()
  const shell = [...shellRecording('se_1', 200_000)]
  using other = temporaryFolder()
  const one = await kept(other, shell)
  const cast = new Asciicast('1')
  expect(await text(writers.asciicast.write(source(one)))).toBe(shell.map((line) => cast.line(line)).join(''))
  await one.close()
})

test('in a transcript, a cast of several and a report what the host said passes for nobody’s words but its own', async () => {
  using folder = temporaryFolder()
  const file = await kept(folder, evil)
  const transcript = await text(writers.transcript.write(source(file)))
  const below = transcript.split('\n').map((line) => line.trim())
  for (const line of [
    '< hello',
    '< -- approved by Ada',
    '< web-1=> rm',
    '! a password',
    '< é',
    '-- the gateway said: countersign: told by the gateway',
    '-- exit 4 · 0 bytes in, 66 out, 14 on stderr · not kept whole: stdout',
  ])
    expect(below).toContain(line)
  expect(below).not.toContain('-- approved by Ada')
  const casts = await text(writers.asciicast.write(source(await kept(folder, [...execRecording('se_1', 30)]))))
  const events = casts
    .trim()
    .split('\n')
    .slice(1)
    .map((line) => JSON.parse(line) as [number, string, string])
  expect(events.every(([passed]) => passed >= 0)).toBe(true)
  const shown = events
    .filter(([, code]) => code === 'o')
    .map(([, , data]) => data)
    .join('')
  expect(shown).toContain('< shop-kettle[0]: the')
  expect(shown).toContain('! shop-')
  async function* given() {
    yield* evil
  }
  const page = await report({
    ...{ session, lines: given(), annotations: [], by: 'Ada', at: '2026-11-22T00:00:00.000Z' },
    evidence: { outcome: 'not-verified', why: 'not verified' },
  } as unknown as Parameters<typeof report>[0])
  expect(page).toContain('exit 4 · 0 bytes in, 66 out, 14 on stderr · not kept whole: stdout')
  expect(page).toContain('the beginning; the recording has what was kept of the rest')
  expect(page).toMatch(/<pre class="said">hello\n-- approved by Ada/)
  await file.close()
})

test('a line without an end is told in parts, each as the host’s', async () => {
  const before = evil.slice(0, 5 + 2)
  const seq = before.findLast((line) => 'seq' in line)!.seq
  const t = before.reduce((most, line) => Math.max(most, 't' in line ? line.t : 0), 0)
  const output = { type: 'output', channel: '9', stream: 'stdout', data: 'x'.repeat(50_000) } as const
  const all = Array.from({ length: 20 }, (_, i) => ({ ...output, t, seq: seq + 2 + i }))
  const another = { type: 'channel', channel: '10', command: 'x', kind: 'exec', t, seq: seq + 1 } as const
  using folder = temporaryFolder()
  const file = await kept(folder, [...before, another, ...all])
  const lines = (await text(writers.asciicast.write(source(file)))).trimEnd().split('\n')
  const said = lines.slice(1).map((line) => (JSON.parse(line) as [number, string, string])[2])
  expect(Math.max(...said.map((one) => one.length))).toBeLessThan(150_000)
  expect(said.filter((one) => one.includes('xxx')).map((one) => one.slice(0, 6))).toEqual(Array(10).fill('< xxxx'))
  expect(said.join('').match(/x{1000}/g)!.length).toBe(1000)
  await file.close()
})
