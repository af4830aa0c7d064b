import { expect, test } from 'vitest'
import { believableApprovals, recordingOf, sessionOf } from '../../testing/world.ts'
import { advance, countUpTo, type Player } from './player.ts'
import { activity, stepAt, transcriptOf } from './transcript.ts'

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
  const transcript = transcriptOf(recordingOf(session, []))
  const kinds = transcript.steps.map((step) => (step.kind === 'command' ? (step.result?.status ?? 'open') : step.kind))
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
  expect(transcript.markers.map((marker) => marker.kind)).toEqual(['denied', 'hold', 'released', 'error'])
  const held = transcript.steps[4]!
  expect(held.kind === 'command' && held.hold).toMatchObject({
    from: 242_001,
    last: { state: 'used', by: ['Ben Osei'] },
  })
  const many = transcript.steps[1]!
  expect(many.kind === 'command' && many.rows).toMatchObject({ truncated: true, columns: { length: 5 } })
  expect(stepAt(transcript.steps, 3_999)).toBe(-1)
  expect(stepAt(transcript.steps, 4_000)).toBe(0)
  expect(stepAt(transcript.steps, 1e9)).toBe(transcript.steps.length - 1)
  expect(activity(transcript.steps, transcript.length, 10).every((bar) => bar >= 0 && bar <= 1)).toBe(true)
})

test('a held command is told after its hold: it keeps the place where the agent asked for it', () => {
  const approval = believableApprovals(Date.parse('2026-11-21T09:00:00Z')).find((each) => each.state === 'used')!
  const [header, first] = recordingOf(sessionOf(approval, 0), [])
  if (!header || first?.type !== 'command') throw new Error('the recording begins with a command')
  const hold = { type: 'hold', command: 'c', approval: 'ap_1' } as const
  const pending = { seq: 1, t: 100, ...hold, state: 'pending' } as const
  const waiting = transcriptOf([header, pending])
  expect(waiting.steps).toMatchObject([
    { kind: 'held', t: 100, hold: { approval: 'ap_1', last: { state: 'pending' } } },
  ])
  expect(waiting.markers).toMatchObject([{ t: 100, kind: 'hold', step: 0 }])
  const told = transcriptOf([
    header,
    pending,
    { ...first, seq: 2, t: 900, command: 'c' },
    { seq: 3, t: 901, ...hold, state: 'approved', by: ['Ben Osei'] },
    { seq: 4, t: 902, ...hold, state: 'used' },
    { seq: 5, t: 905, type: 'result', command: 'c', status: 'completed', ms: 3 },
  ])
  expect(told.steps).toMatchObject([
    {
      kind: 'command',
      t: 100,
      hold: { from: 100, last: { t: 901, state: 'used', by: ['Ben Osei'] } },
      result: { t: 905 },
    },
  ])
  expect(told.markers.map((marker) => [marker.t, marker.kind])).toEqual([
    [100, 'hold'],
    [901, 'released'],
  ])
})
