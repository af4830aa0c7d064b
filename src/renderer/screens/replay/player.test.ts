import type { RecordingLine } from '@countersign/contract/recording'
import { expect, test } from 'vitest'
import type { RecordingSummary } from '../../../library-api.ts'
import { LineIndex } from '../../../main/core/library/line-index.ts'
import { countUpTo } from '../../../recording-index.ts'
import { stepsOf } from '../../../recording-steps.ts'
import { believableApprovals, recordingOf, sessionOf } from '../../testing/world.ts'
import { advance, type Player } from './player.ts'
import { activity, ReplayIndex } from './replay-index.ts'

const at = (t: number, more: Partial<Player> = {}): Player => ({
  t,
  playing: true,
  speed: 1,
  skipIdle: false,
  following: false,
  ...more,
})
const moments = [0, 1000, 10_000]

test.each<[string, Player, number, Partial<Player>]>([
  ['time passes', at(0), 400, { t: 400, playing: true }],
  ['faster', at(0, { speed: 32 }), 100, { t: 3200 }],
  ['stands still when paused', at(5, { playing: false }), 400, { t: 5, playing: false }],
  ['ends at the end', at(11_990), 400, { t: 12_000, playing: false }],
  ['skips what is idle to just before what comes', at(1000, { skipIdle: true }), 16, { t: 9_500 }],
  ['skips no short wait', at(0, { skipIdle: true }), 16, { t: 16 }],
  ['skips to the end after the last', at(10_000, { skipIdle: true }), 16, { t: 11_984 + 0 }],
])('%s', (name, player, elapsed, expected) => {
  const length = name.startsWith('skips to the end') ? 12_484 : 12_000
  expect(advance(player, elapsed, moments, length)).toMatchObject(expected)
})

test('places', () => {
  expect(countUpTo(moments, -1)).toBe(0)
  expect(countUpTo(moments, 1000)).toBe(2)
  expect(countUpTo(moments, 99_999)).toBe(3)
})

test('a recording becomes steps, with what happened to each command', () => {
  const approval = believableApprovals(Date.parse('2026-11-21T09:00:00Z')).find((each) => each.state === 'used')!
  const session = sessionOf(approval, 0)
  const lines = recordingOf(session, [])
  const steps = stepsOf(lines)
  const index = indexOf(lines)
  const kinds = steps.map((step) => (step.kind === 'command' ? (step.result?.status ?? 'open') : step.kind))
  expect(kinds).toEqual([
    'completed',
    'completed',
    'refused',
    'completed',
    'completed',
    'failed',
    'completed',
    'note',
    'end',
  ])
  expect(markersOf(index).map((marker) => marker.kind)).toEqual(['denied', 'hold', 'released', 'error'])
  const held = steps[4]!
  expect(held.kind === 'command' && held.hold).toMatchObject({
    from: 242_001,
    last: { state: 'used', by: ['Ben Osei'] },
  })
  const many = steps[1]!
  expect(many.kind === 'command' && many.rows).toMatchObject({ truncated: true, columns: { length: 5 } })
  expect(index.count).toBe(steps.length)
  expect(index.stepAt(3_999)).toBe(-1)
  expect(index.stepAt(4_000)).toBe(0)
  expect(index.stepAt(1e9)).toBe(steps.length - 1)
  expect(steps.map((step) => [step.key, step.t, step.kind])).toEqual(
    steps.map((_, i) => [index.keyOf(i), index.timeOf(i), index.flagsOf(i).kind]),
  )
  expect(activity(index, 842_000, 10).every((bar) => bar >= 0 && bar <= 1)).toBe(true)
})

test('a held command is told after its hold: it keeps the place where the agent asked for it', () => {
  const approval = believableApprovals(Date.parse('2026-11-21T09:00:00Z')).find((each) => each.state === 'used')!
  const [header, first] = recordingOf(sessionOf(approval, 0), [])
  if (!header || first?.type !== 'command') throw new Error('the recording begins with a command')
  const hold = { type: 'hold', command: 'c', approval: 'ap_1' } as const
  const pending = { seq: 1, t: 100, ...hold, state: 'pending' } as const
  expect(stepsOf([header, pending])).toMatchObject([
    { kind: 'held', t: 100, hold: { approval: 'ap_1', last: { state: 'pending' } } },
  ])
  expect(markersOf(indexOf([header, pending]))).toMatchObject([{ t: 100, kind: 'hold', step: 0 }])
  const lines: RecordingLine[] = [
    header,
    pending,
    { ...first, seq: 2, t: 900, command: 'c' },
    { seq: 3, t: 901, ...hold, state: 'approved', by: ['Ben Osei'] },
    { seq: 4, t: 902, ...hold, state: 'used' },
    { seq: 5, t: 905, type: 'result', command: 'c', status: 'completed', ms: 3 },
  ]
  expect(stepsOf(lines)).toMatchObject([
    {
      kind: 'command',
      t: 100,
      hold: { from: 100, last: { t: 901, state: 'used', by: ['Ben Osei'] } },
      result: { t: 905 },
    },
  ])
  expect(markersOf(indexOf(lines)).map((marker) => [marker.t, marker.kind])).toEqual([
    [100, 'hold'],
    [901, 'released'],
  ])
})

test('what a growing recording tells anew makes the same index as all of it at once', () => {
  const approval = believableApprovals(Date.parse('2026-11-21T09:00:00Z')).find((each) => each.state === 'used')!
  const lines = recordingOf(sessionOf(approval, 0), [], 5)
  const whole = indexOf(lines)
  for (const cut of [1, 2, 14, 15, 16, 40, lines.length - 1]) {
    const growing = new LineIndex()
    for (const line of lines.slice(0, cut)) growing.add(line)
    const before = ReplayIndex.of(told(growing))
    const have = { seq: growing.lines - 1, markers: before.markers, moments: before.moments.length }
    for (const line of lines.slice(cut)) growing.add(line)
    const after = ReplayIndex.of(told(growing, have), before)
    expect(after.columns).toEqual(whole.columns)
    expect(markersOf(after)).toEqual(markersOf(whole))
  }
})

function indexOf(lines: readonly RecordingLine[]): ReplayIndex {
  const index = new LineIndex()
  for (const line of lines) index.add(line)
  return ReplayIndex.of(told(index))
}

function told(index: LineIndex, have?: { seq: number; markers: number; moments: number }): RecordingSummary {
  const { from, labels, columns } = index.slice(have)
  return { index: { from, labels: [...labels], columns: Buffer.from(columns).toString('base64') } } as RecordingSummary
}

const markersOf = (index: ReplayIndex) => Array.from({ length: index.markers }, (_, i) => index.marker(i))
