import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { RecordingLine } from '@countersign/contract/recording'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { ConsoleEvent } from '../../../console-api.ts'
import { Harmless } from '../../../harmless.ts'
import type { TerminalFrame } from '../../../terminal-api.ts'
import { RecordingFile } from '../library/recording-file.ts'
import { temporaryFolder } from '../testing/console.ts'
import { bytesOf, execRecording, shellRecording } from '../testing/long-terminal.ts'
import { createEmulator, type Emulator, written } from './emulator.ts'
import { difference, learnCharsets } from './screen.ts'
import { createTerminals, type Terminals } from './terminal.ts'

// Terminals over real sealed recordings; what a seek shows is held against a terminal that was given everything.

const key = Buffer.alloc(32, 9)
const ended = (exit: RecordingLine | undefined) => exit?.type === 'exit' && { to: exit.t, code: exit.code }
const shell = [...shellRecording('se_1', 3_000_000)]
const execs = [...execRecording('se_2', 120)]
const of = { session: 'se_1', channel: '1' }

/** A recording as far as it is given, and its terminals. */
async function kept(lines: readonly RecordingLine[], folder: { path: string }) {
  const [header] = lines
  if (header?.type !== 'header') throw new Error('a recording begins with a header')
  const place = { index: join(folder.path, 'a1.index'), about: 'gw', session: header.session }
  const file = (await RecordingFile.open(place, key)) ?? (await RecordingFile.create(place, key))
  if (file.bytes === 0) await file.append(bytesOf(lines))
  await file.save()
  const events: ConsoleEvent[] = []
  const terminals = createTerminals(
    (_, read) => read(file),
    (event) => events.push(event),
  )
  return {
    ...{ file, terminals, events },
    async [Symbol.asyncDispose]() {
      terminals[Symbol.dispose]()
      await file.close()
    },
  }
}

/** Shows what a terminal shows who does as terminal-api.ts says. */
async function shown(terminals: Terminals, t: number, upTo?: number): Promise<Emulator> {
  const at = await terminals.at({ ...of, t, upTo })
  const terminal = createEmulator(at.columns, at.rows)
  const filter = new Harmless()
  await written(terminal, filter.write(at.screen))
  await apply(terminal, filter, at.frames.slice(0, at.shown))
  return terminal
}

async function apply(terminal: Emulator, filter: Harmless, frames: readonly TerminalFrame[]): Promise<void> {
  let text = ''
  for (const frame of frames) {
    if (frame.type === 'output') text += frame.notice ? filter.notice(frame.text) : filter.write(frame.text)
    if (frame.type !== 'resize') continue
    await written(terminal, text)
    text = ''
    terminal.resize(frame.columns, frame.rows)
  }
  await written(terminal, text)
}

async function allFrames(terminals: Terminals, channel = of, bytes = 64 * 1024): Promise<TerminalFrame[]> {
  const all: TerminalFrame[] = []
  for (;;) {
    const page = await terminals.frames({ ...channel, from: all.length, bytes })
    expect(page.at).toBe(all.length)
    all.push(...page.frames)
    if (page.next >= page.count) return all
  }
}

let folder: ReturnType<typeof temporaryFolder>
let one: Awaited<ReturnType<typeof kept>>
let frames: TerminalFrame[]
beforeAll(async () => {
  await learnCharsets()
  folder = temporaryFolder()
  one = await kept(shell, folder)
  frames = await allFrames(one.terminals)
})
afterAll(async () => {
  await one[Symbol.asyncDispose]()
  folder[Symbol.dispose]()
})

test('frames are all that was said, in pages of any size; characters that were cut are whole', async () => {
  const said = shell.flatMap((line) => (line.type === 'output' ? [line.data] : []))
  const bytes = said.map((data) => (typeof data === 'string' ? Buffer.from(data) : Buffer.from(data!.base64, 'base64')))
  expect(said.some((data) => typeof data !== 'string')).toBe(true)
  const text = frames.map((frame) => (frame.type === 'output' ? frame.text : '')).join('')
  expect(text).toBe(Buffer.concat(bytes).toString())
  expect(await allFrames(one.terminals, of, 5000)).toEqual(frames)
})

test('a seek anywhere shows what straight replay shows, and so does what follows', async () => {
  const straight = createEmulator(120, 36)
  const filter = new Harmless()
  const places = Array.from({ length: 25 }, (_, i) => Math.floor((((i * 7919) % 997) / 997) * frames.length)).sort(
    (a, b) => a - b,
  )
  let at = 0
  for (const place of [...places, frames.length]) {
    await apply(straight, filter, frames.slice(at, place))
    at = place
    const sought = await shown(one.terminals, 0, place)
    expect([place, difference(straight, sought)]).toEqual([place, undefined])
    // The same, by time: whatever has that time is shown.
    const { t } = frames[Math.max(0, place - 1)]!
    const next = frames.findIndex((frame, i) => i >= at && frame.t > t)
    await apply(straight, filter, frames.slice(at, next < 0 ? frames.length : next))
    at = next < 0 ? frames.length : next
    if (place === 0) continue
    const byTime = await shown(one.terminals, t)
    expect([place, t, difference(straight, byTime)]).toEqual([place, t, undefined])
    sought.dispose()
    byTime.dispose()
  }
  straight.dispose()
})

test('a seek reads no more than lies between two keyframes, and some that follows', async () => {
  const { to } = await one.terminals.summary(of)
  for (let i = 0; i <= 20; i++) {
    const { frames, screen, exact } = await one.terminals.at({ ...of, t: (to * i) / 20 })
    const size = frames.reduce((sum, frame) => sum + ('text' in frame ? frame.text.length : 0), screen.length)
    expect(size).toBeLessThan(400 * 1024)
    expect(frames.length).toBeLessThan(4000)
    expect(exact).toBe(true)
  }
})

test.each<[string, (i: number) => Partial<RecordingLine>]>([
  [
    'a sequence that never ends',
    (i) => ({ type: 'output', stream: 'stdout', data: `${i === 0 ? '\x1b]0;' : ''}${'x'.repeat(60_000)}` }),
  ],
  ['what keeps a terminal busy', () => ({ type: 'output', stream: 'stdout', data: '\x1b[1000S'.repeat(6) })],
  ['sizes', (i) => ({ type: 'resize', columns: 80 + (i % 9), rows: 24 })],
])('a seek reads little, and costs little, where there is much of %s', async (_, line) => {
  const begin = shell.slice(0, shell.findIndex(({ type }) => type === 'channel') + 1)
  const { seq } = begin.at(-1) as { seq: number }
  const all = Array.from({ length: 120 }, (_, i) => ({ seq: seq + 1 + i, t: 1000 + i, channel: '1', ...line(i) }))
  using place = temporaryFolder()
  await using recorded = await kept([...begin, ...(all as RecordingLine[])], place)
  const { at, frames, shown } = await recorded.terminals.at({ ...of, t: 1119 })
  expect(at).toBeGreaterThan(80)
  expect(shown).toBe(120 - at)
  const filter = new Harmless()
  const text = frames.map((frame) => (frame.type === 'output' ? filter.write(frame.text).length + filter.work : 0))
  expect(text.reduce((a, b) => a + b, 0)).toBeLessThan(300_000)
})

test('says what is worth going to, when nothing was said, and how large it was', async () => {
  const summary = await one.terminals.summary(of)
  expect(summary).toMatchObject({ looked: 1, ended: true, count: frames.length, command: 'shell', step: 1 })
  expect(summary.characters).toBe(frames.reduce((sum, f) => sum + (f.type === 'output' ? f.text.length : 0), 0))
  const sizes = frames.flatMap((frame) => (frame.type === 'resize' ? [frame] : []))
  expect(summary.largest.columns).toBe(Math.max(120, ...sizes.map(({ columns }) => columns)))
  const labels = new Set(summary.markers.map(({ kind, label }) => `${kind} ${label}`))
  for (const label of [
    'line ls -l --color',
    'line :wq',
    'hidden typed without an echo',
    'signal SIGWINCH',
    'exit exit 0',
  ])
    expect(labels).toContain(label)
  expect([...labels].join()).not.toContain('a secret of theirs')
  for (const { at, t, seq } of summary.markers) expect(frames[at]).toMatchObject({ t, seq })
  const pauses = frames.flatMap(({ t }, i) => (i > 0 && t - frames[i - 1]!.t >= 1000 ? [[frames[i - 1]!.t, t]] : []))
  expect(summary.idle).toEqual(pauses)
})

test('words are found across frames, without colours, and their places are where they end', async () => {
  const events = one.events.length
  const found = await one.terminals.find({ ...of, words: 'LS -L --color', work: 'w' }, new AbortController().signal)
  const hits = one.events.slice(events).flatMap((event) => (event.type === 'foundInTerminal' ? event.hits : []))
  const typed = (await one.terminals.summary(of)).markers.filter(({ label }) => label === 'ls -l --color')
  const shown = hits.filter(({ stream }) => stream === 'stdout')
  expect(found).toEqual({ hits: hits.length, more: false })
  expect(shown.length).toBe(typed.length)
  expect(hits.length).toBe(2 * typed.length)
  expect(shown[0]).toMatchObject({ found: 'ls -l --color', before: expect.stringContaining('ops@web-1:~$ ') })
  expect(shown[0]!.t).toBeLessThan(typed[0]!.t)
  const last = one.events.findLast((event) => event.type === 'foundInTerminal')
  expect(last).toMatchObject({ done: frames.length, total: frames.length })
})

test('what one looked through is kept sealed beside the recording, and is of no use for another', async () => {
  using folder = temporaryFolder()
  {
    await using first = await kept(shell, folder)
    await first.terminals.at({ ...of, t: Number.MAX_SAFE_INTEGER })
    await expect.poll(() => readdirSync(folder.path).filter((name) => name.endsWith('.beside')).length).toBe(1)
  }
  const [name] = readdirSync(folder.path).filter((name) => name.endsWith('.beside'))
  const path = join(folder.path, name!)
  const bytes = readFileSync(path)
  expect(bytes.includes('ops@web-1')).toBe(false)
  {
    await using again = await kept(shell, folder)
    expect((await again.terminals.summary(of)).looked).toBe(1)
    expect((await again.terminals.summary(of)).markers).toEqual((await one.terminals.summary(of)).markers)
    const sought = await shown(again.terminals, 0, 700)
    const same = await shown(one.terminals, 0, 700)
    expect(difference(sought, same)).toBeUndefined()
  }
  bytes[20]! ^= 1
  writeFileSync(path, bytes)
  await using changed = await kept(shell, folder)
  expect((await changed.terminals.at({ ...of, t: 1e9 })).exact).toBe(true)
  await changed.file.remove()
  expect(readdirSync(folder.path)).toEqual([])
})

test('a session that goes on: what comes is there at the next question, and a seek at its end shows it', async () => {
  using folder = temporaryFolder()
  const half = Math.floor(shell.length / 2)
  await using live = await kept(shell.slice(0, half), folder)
  const before = await live.terminals.at({ ...of, t: Number.MAX_SAFE_INTEGER })
  expect(before).toMatchObject({ ended: false, next: before.count })
  expect((await live.terminals.summary(of)).exit).toBeNull()
  const rest = bytesOf(shell.slice(half))
  await live.file.append(rest.subarray(0, 300_000))
  const then = await live.terminals.frames({ ...of, from: before.next, bytes: 4096 })
  expect(then.frames[0]).toEqual(frames[before.next])
  expect(then.count).toBeGreaterThan(before.count)
  await live.file.append(rest.subarray(300_000))
  live.terminals.grown('se_1')
  const sought = await shown(live.terminals, Number.MAX_SAFE_INTEGER)
  const same = await shown(one.terminals, Number.MAX_SAFE_INTEGER)
  expect(difference(sought, same)).toBeUndefined()
  expect((await live.terminals.summary(of)).ended).toBe(true)
})

test('of several questions of one slider the last counts', async () => {
  using folder = temporaryFolder()
  await using fresh = await kept(shell, folder)
  const asked = [1e5, 2e5, 3e5].map((t) => fresh.terminals.at({ ...of, t, work: 'slider' }))
  const answers = await Promise.allSettled(asked)
  expect(answers.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
  expect(answers[0]).toMatchObject({ reason: { code: 'cancelled' } })
})

test('channels are listed as they began; each says how it ended', async () => {
  using folder = temporaryFolder()
  await using many = await kept(execs, folder)
  const { items, count } = await many.terminals.channels({ session: 'se_2', from: 0, to: 500 })
  const opened = execs.flatMap((line) => (line.type === 'channel' ? [line] : []))
  expect(items.map(({ channel }) => channel)).toEqual(opened.map(({ channel }) => channel))
  expect(count).toBe(opened.length)
  for (const item of items) {
    const exit = execs.find((line) => line.type === 'exit' && line.channel === item.channel)
    const said = execs.filter((line) => 'channel' in line && line.channel === item.channel && line.type !== 'channel')
    expect(item).toMatchObject({ frames: said.length, ...ended(exit) })
    const command = execs.find(
      (line) => line.type === 'command' && line.command === opened.find((o) => o.channel === item.channel)!.command,
    )
    expect(item.command).toBe((command as { text: string }).text)
  }
  expect((await many.terminals.channels({ session: 'se_2', from: 3, to: 5 })).items).toEqual(items.slice(3, 5))
  await expect(many.terminals.summary({ session: 'se_2', channel: 'none' })).rejects.toMatchObject({
    code: 'no-such-channel',
  })
  const plain = items.find(({ terminal, kind }) => !terminal && kind === 'exec')!
  const whole = await allFrames(many.terminals, { session: 'se_2', channel: plain.channel })
  expect(whole.map(({ seq }) => seq)).toEqual(
    execs.flatMap((line) =>
      'channel' in line && line.channel === plain.channel && line.type !== 'channel' ? [line.seq] : [],
    ),
  )
  const middle = whole[10]!
  expect(await many.terminals.at({ session: 'se_2', channel: plain.channel, t: middle.t })).toMatchObject({
    screen: '',
    shown: 11,
  })
})
