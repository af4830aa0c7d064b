import { Findings } from '@countersign/contract/ledger/findings'
import type { NewRecordingEvent } from '@countersign/contract/recording'
import { expect, it } from 'vitest'
import { RecordedFacts } from './recorded.ts'
import { asValue, recordedOf, SaidRows } from './said.ts'

const allowed = (command: string): NewRecordingEvent => ({
  ...{ type: 'command', command, text: command, parameters: [], kind: 'exec', effects: [], digest: 'd' },
  verdict: { outcome: 'allow', policies: [] },
})
const hold = (state: 'approved' | 'used'): NewRecordingEvent => ({ type: 'hold', command: 'a', approval: 'ap', state })
const result = (command: string): NewRecordingEvent => ({
  type: 'result',
  command,
  status: 'completed',
  tag: 'exit 0',
  ms: 1,
})

it.each<[what: string, events: NewRecordingEvent[]]>([
  ['alone', [allowed('a'), hold('approved'), hold('used'), result('a')]],
  ['before it runs', [allowed('a'), hold('approved'), allowed('b'), hold('used'), result('b'), result('a')]],
  ['while it runs', [allowed('a'), hold('approved'), hold('used'), allowed('b'), result('b'), result('a')]],
])('says of an approval what was released by it and how it ended, with another channel’s command %s', (_, events) => {
  using said = new SaidRows()
  const facts = new RecordedFacts(said, new Findings())
  const lines = events.map((event, at) => `${JSON.stringify({ seq: at + 1, t: 1, ...event })}\n`)
  facts.bytes('se_a', Buffer.from(lines.join('')))
  expect(said.get(recordedOf('approvals'), 'ap')?.columns).toMatchObject({
    text: 'a',
    outcome: asValue({ status: 'completed', tag: 'exit 0' }),
  })
})
