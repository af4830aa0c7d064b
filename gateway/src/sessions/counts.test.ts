import type { NewRecordingEvent } from '@countersign/contract/recording'
import { expect, test } from 'vitest'
import { Counting, HELD_KNOWN } from './counts.ts'

const command = (command: string, outcome: 'allow' | 'deny' | 'hold'): NewRecordingEvent => ({
  type: 'command',
  command,
  text: '',
  parameters: [],
  kind: 'select',
  effects: [],
  digest: '',
  verdict: { outcome, policies: [] },
})
const hold = (command: string, state: 'pending' | 'denied' | 'used'): NewRecordingEvent => ({
  type: 'hold',
  command,
  approval: 'ap_1',
  state,
})
const result = (command: string, status: 'completed' | 'failed' | 'refused'): NewRecordingEvent => ({
  type: 'result',
  command,
  status,
  ms: 0,
})

test.each<[string, NewRecordingEvent[], { commands: number; held: number; denied: number; errors: number }]>([
  [
    'held, approved, run',
    [hold('a', 'pending'), command('a', 'hold'), hold('a', 'used'), result('a', 'completed')],
    { commands: 1, held: 1, denied: 0, errors: 0 },
  ],
  [
    'held, denied by a person: told twice, counted once',
    [hold('a', 'pending'), command('a', 'hold'), hold('a', 'denied'), result('a', 'refused')],
    { commands: 1, held: 1, denied: 1, errors: 0 },
  ],
  [
    'held, denied at release: told as its verdict, too',
    [hold('a', 'pending'), command('a', 'deny'), hold('a', 'denied'), result('a', 'refused')],
    { commands: 1, held: 1, denied: 1, errors: 0 },
  ],
  ['denied by policy', [command('a', 'deny'), result('a', 'refused')], { commands: 1, held: 0, denied: 1, errors: 0 }],
  ['failed', [command('a', 'allow'), result('a', 'failed')], { commands: 1, held: 0, denied: 0, errors: 1 }],
  ['held, its session over', [hold('a', 'pending')], { commands: 0, held: 1, denied: 0, errors: 0 }],
])('%s', (_, events, counts) => {
  const counting = new Counting()
  for (const event of events) counting.add(event)
  expect(counting.counts).toEqual(counts)
})

test('what has its result is forgotten, and so is the oldest of what never gets one', () => {
  const counting = new Counting()
  for (let n = 0; n < 3 * HELD_KNOWN; n++) {
    counting.add(hold(`answered ${n}`, 'pending'))
    counting.add(result(`answered ${n}`, 'refused'))
  }
  expect(counting.known).toBe(0)
  for (let n = 0; n < 3 * HELD_KNOWN; n++) {
    counting.add(hold(`${n}`, 'pending'))
    expect(counting.known).toBeLessThanOrEqual(HELD_KNOWN)
  }
  expect(counting.counts.held).toBe(6 * HELD_KNOWN)
})

test('notes the classes that commands, results and output touched, whatever the agent saw of them', () => {
  const counting = new Counting()
  const rows = (...classes: string[]): NewRecordingEvent => ({
    type: 'rows',
    command: 'a',
    columns: [
      { name: 'id', type: 23 },
      { name: 'v', type: 25, masked: classes.map((one) => ({ class: one, style: 'redact', revealed: one === 'ssn' })) },
    ],
    rows: [],
  })
  for (const event of [command('a', 'allow'), rows('ssn', 'card'), rows()]) counting.add(event)
  counting.add({ ...command('b', 'deny'), classes: ['email', 'ssn'] } as NewRecordingEvent)
  counting.add({ type: 'output', channel: '1', stream: 'stdout', data: '[masked: jwt]', masked: ['jwt'] })
  expect([...counting.classes].sort()).toEqual(['card', 'email', 'jwt', 'ssn'])
})
