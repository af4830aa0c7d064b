import { join } from 'node:path'
import type { RecordingLine } from '@countersign/contract/recording'
import { expect, test } from 'vitest'
import { type CommandStep, type Step, stepsOf } from '../../../recording-steps.ts'
import { temporaryFolder } from '../testing/console.ts'
import { bytesOf, execRecording, shellRecording } from '../testing/long-terminal.ts'
import { findIn } from './finding.ts'
import { RecordingFile } from './recording-file.ts'
import { readWindow } from './windows.ts'

// What the index of a recording says of channels: steps with the beginning of their output, and all of it by itself.

const key = Buffer.alloc(32, 5)
const execs = [...execRecording('se_2', 70, 25_000)]

async function kept(folder: { path: string }, lines: readonly RecordingLine[], session: string) {
  const place = { index: join(folder.path, 'a.index'), about: 'gw', session }
  const file = await RecordingFile.create(place, key)
  // In pieces, saved and opened again in between, as a download that was cut leaves it.
  const bytes = bytesOf(lines)
  const half = bytes.length >> 1
  await file.append(bytes.subarray(0, half))
  await file.save()
  await file.close()
  const again = (await RecordingFile.open(place, key))!
  await again.append(bytes.subarray(again.bytes))
  await again.save()
  await again.close()
  return (await RecordingFile.open(place, key))!
}

async function stepsIn(file: RecordingFile): Promise<Step[]> {
  const steps: Step[] = []
  for (let from = 0; from < file.index.steps; ) {
    const window = await readWindow(file, { session: '', by: 'step', from, to: from + 64 })
    steps.push(...stepsOf(window.lines))
    from = window.to
  }
  return steps
}

const size = (step: CommandStep) => step.channel!.head.reduce((sum, { data }) => sum + JSON.stringify(data).length, 0)

test('a command has its channel, the beginning of what it said, and how it ended', async () => {
  using folder = temporaryFolder()
  const file = await kept(folder, execs, 'se_2')
  const whole = stepsOf(execs)
  const steps = await stepsIn(file)
  expect(steps.map(({ key }) => key)).toEqual(whole.map(({ key }) => key))
  let cut = 0
  for (const [i, step] of steps.entries()) {
    const same = whole[i]!
    if (step.kind !== 'command' || same.kind !== 'command' || !same.channel) {
      expect(step).toEqual(same)
      continue
    }
    const { channel, ...rest } = step
    const { channel: all, ...others } = same
    expect(rest).toEqual(others)
    expect(channel?.event).toEqual(all.event)
    expect(channel?.exit).toEqual(all.exit)
    if (all.event.terminal) {
      // A terminal is shown by itself; that something of it is masked is said all the same.
      expect(channel?.head.every(({ masked }) => masked !== undefined)).toBe(true)
      continue
    }
    if (all.head.length > (channel?.head.length ?? 0)) cut += 1
    const masked = channel!.head.filter(({ masked }) => masked)
    expect(all.head.filter((line) => line.masked).slice(0, masked.length)).toEqual(masked)
    expect(all.head.slice(0, 100)).toEqual(channel?.head.slice(0, 100))
    expect(size(step)).toBeLessThan(40 * 1024)
  }
  expect(cut).toBeGreaterThan(5)
  await file.close()
})

test('a channel’s frames are its lines, whichever others stand between', async () => {
  using folder = temporaryFolder()
  const lines = interleaved(execs)
  const file = await kept(folder, lines, 'se_2')
  for (const [i, { id, frames }] of file.index.channels.entries()) {
    const own = lines.filter((line) => 'channel' in line && line.channel === id && line.type !== 'channel')
    expect([...file.index.framesOf(i)]).toEqual(own.map((line) => (line as { seq: number }).seq))
    expect(frames).toBe(own.length)
  }
  await file.close()
})

test('a shell of a hundred megabytes would be one step: its window is a few lines', async () => {
  using folder = temporaryFolder()
  const file = await kept(folder, [...shellRecording('se_1', 2_000_000)], 'se_1')
  const window = await readWindow(file, { session: 'se_1', by: 'step', from: 0, to: 64 })
  expect(window.to).toBe(file.index.steps)
  expect(window.lines.length).toBeLessThan(12)
  const steps = stepsOf(window.lines)
  expect(steps.find((step) => step.kind === 'command' && step.channel?.event.kind === 'shell')).toMatchObject({
    channel: { head: [], exit: { code: 0 } },
    result: { tag: 'exit 0' },
  })
  await file.close()
})

test('words that channels say are found, also where they are typed key by key, and belong to their command', async () => {
  using folder = temporaryFolder()
  const file = await kept(folder, [...shellRecording('se_1', 600_000)], 'se_1')
  const steps = new Set<number>()
  for await (const { hits } of findIn(file, 'Make ALL', new AbortController().signal))
    for (const { step } of hits) steps.add(step)
  expect([...steps]).toEqual([1])
  await file.close()
})

/** The lines of two commands' channels mixed, as where they run at once. */
function interleaved(lines: readonly RecordingLine[]): RecordingLine[] {
  const of = (line: RecordingLine) => ('channel' in line ? Number(line.channel) : -1)
  const mixed: RecordingLine[] = []
  const waiting: RecordingLine[] = []
  for (const line of lines) {
    if (line.type !== 'channel' && of(line) % 2 === 0) {
      waiting.push(line)
      continue
    }
    mixed.push(line)
    if (waiting.length > 0 && of(line) % 2 === 1) mixed.push(waiting.shift()!)
    if (line.type === 'end') mixed.splice(-1, 0, ...waiting.splice(0))
  }
  let seq = 0
  return mixed.map((line) => (line.type === 'header' ? line : { ...line, seq: ++seq }))
}
