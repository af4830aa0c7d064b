import type { NewRecordingEvent } from '@countersign/contract/recording'
import { expect, test } from 'vitest'
import { bot } from '../policy/testing/policies.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { RecordingError } from '../sessions/session.ts'
import type { Command, Gate, Verdict } from './command.ts'
import { Submissions, type Submitted, type Voice } from './submissions.ts'

type Words = { message: string }
const voice: Voice<Words> = {
  unrecordable: { message: 'unrecordable' },
  changedWhileHeld: { message: 'changed' },
  unlogged: (why) => ({ message: `unlogged: ${why}` }),
  told: ({ message }) => ({ message }),
}
const command: Command = {
  protocol: 'ssh',
  connection: { name: 'web-1', kind: 'ssh', tags: [], mode: 'enforce' },
  agent: bot,
  session: { id: 'se_1' },
  ...{ text: 'uptime', parameters: [], kind: 'exec', effects: [], meaning: {} },
}
const allow: Verdict = { outcome: 'allow', policies: ['p'], digest: 'd' }
const approved: Verdict = { ...allow, approval: { id: 'ap_1', by: ['Ada'] } }
const denied: Verdict = { outcome: 'denied', policies: ['p'], digest: 'd', reason: 'no' }

/** Submits to a gate that says so, as the real one does, with records that fail at these writes (counted from 1). */
async function submitted(
  verdict: Verdict,
  { failing = {}, ...more }: { failing?: Record<number, Error> } & Partial<Submitted<string, Words>> = {},
) {
  const written: string[] = []
  let writes = 0
  const records = {
    write: (event: NewRecordingEvent) => {
      const error = failing[++writes]
      if (error) throw error
      const told = 'state' in event ? event.state : 'status' in event ? event.status : ''
      written.push(`${event.type} ${'verdict' in event ? event.verdict.outcome : told}`)
    },
    sync: async () => {},
  }
  const reported: string[] = []
  const gate: Pick<Gate, 'submit' | 'report'> = {
    submit: (_, { record }) => {
      const notRun = (error: Error): Verdict => ({ ...denied, policies: [], reason: error.message }) as Verdict
      const durable = verdict.outcome === 'allow' && verdict.approval !== undefined
      try {
        const recorded = record(verdict, { durable })
        return recorded ? recorded.then(() => verdict, notRun) : verdict
      } catch (error) {
        return notRun(error as Error)
      }
    },
    report: (approval, { status }) => void reported.push(`${approval} ${status}`),
  }
  const answer = await new Submissions<string, Words>(gate as Gate, records, voice, { error: () => {} }).submit({
    ...{ command, hold: 'wait', signal: new AbortController().signal, onHeld: () => {} },
    refusal: (verdict) => ({ message: 'reason' in verdict ? verdict.reason : verdict.outcome }),
    runs: ({ id }) => ({ run: id && 'it runs' }),
    ...more,
  })
  return { answer, written, reported }
}

const runs = { run: 'it runs' }
const refused = (message: string, fatal = false) => ({ refused: { message }, fatal })
const full = new RecordingError('disk full')
const stopped = new LedgerStopped('the ledger stands')
const gone = AbortSignal.abort(new Error('the client has gone'))

test.each<[string, Parameters<typeof submitted>, Awaited<ReturnType<typeof submitted>>]>([
  ['what is allowed runs', [allow], { answer: runs, written: ['command allow'], reported: [] }],
  [
    'what was approved runs once that is used',
    [approved],
    { answer: runs, written: ['command hold', 'hold approved', 'hold used'], reported: [] },
  ],
  [
    'what is denied is recorded and told',
    [denied],
    { answer: refused('no'), written: ['command deny', 'result refused'], reported: [] },
  ],
  [
    'what can’t be recorded does not run, and ends the session',
    [allow, { failing: { 1: full } }],
    { answer: refused('unrecordable', true), written: [], reported: [] },
  ],
  [
    'what the ledger can’t take does not run, and the session goes on',
    [allow, { failing: { 1: stopped } }],
    { answer: refused('unlogged: the ledger stands'), written: ['command deny', 'result refused'], reported: [] },
  ],
  [
    'nor where the refusal can’t be recorded either',
    [allow, { failing: { 1: stopped, 2: full } }],
    { answer: refused('unrecordable', true), written: [], reported: [] },
  ],
  [
    'a release that can’t be told as used does not run',
    [approved, { failing: { 3: full } }],
    { answer: refused('unrecordable', true), written: ['command hold', 'hold approved'], reported: [] },
  ],
  [
    'what is another by now than what was shown does not run',
    [approved, { still: async () => false }],
    { answer: refused('changed'), written: ['command deny', 'result refused'], reported: [] },
  ],
  [
    'nor what can’t be looked at again',
    [approved, { still: () => Promise.reject(new Error('the host is gone')) }],
    { answer: refused('changed'), written: ['command deny', 'result refused'], reported: [] },
  ],
  [
    'what nobody waits for any more does not run, and its card says so',
    [approved, { signal: gone }],
    {
      answer: refused('the client has gone'),
      written: ['command hold', 'hold approved', 'result refused'],
      reported: ['ap_1 failed'],
    },
  ],
  [
    'what its protocol refuses after all does not run, and its card says so',
    [approved, { runs: () => ({ refused: { message: 'masked by now' } }) }],
    {
      answer: refused('masked by now'),
      written: ['command hold', 'hold approved', 'result refused'],
      reported: ['ap_1 failed'],
    },
  ],
])('%s', async (_, given, expected) => {
  expect(await submitted(...given)).toEqual(expected)
})
