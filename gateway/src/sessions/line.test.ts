import {
  CommandEvent,
  InputEvent,
  type NewRecordingEvent,
  OutputEvent,
  ResultEvent,
  RowsEvent,
  VerdictRecord,
} from '@countersign/contract/recording'
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { lineOf } from './line.ts'

const text = fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('', '"', '\\', '\n', '\u2028', '\ud800', 'ä€😀'))
const value = fc.oneof(text, fc.constant(null), fc.record({ base64: fc.base64String() }))
const row = fc.array(value, { maxLength: 4 })
const micros = fc.integer({ min: 0, max: 1e12 })
const ms = fc.integer({ min: 0, max: 1e9 }).map((n) => n / 1000)
const some = { noNullPrototype: true, requiredKeys: [] as never[] }

const verdict = fc.tuple(
  fc.record({ outcome: fc.constantFrom('allow', 'deny', 'hold'), policies: fc.array(text, { maxLength: 2 }) }),
  fc.record({ reason: text, observed: fc.boolean() }, some),
)
const effect = fc.record({
  action: text,
  resource: fc.record({ type: text, id: text }),
  kind: text,
  bounded: fc.boolean(),
})
const event = fc.oneof(
  fc
    .tuple(
      fc.record({
        type: fc.constant('command'),
        command: text,
        text,
        parameters: row,
        kind: text,
        effects: fc.array(effect, { maxLength: 2 }),
        digest: text,
        verdict: verdict.map(([always, sometimes]) => ({ ...always, ...sometimes })),
      }),
      fc.record({ classes: fc.array(text, { maxLength: 2 }) }, some),
    )
    .map(([always, sometimes]) => ({ ...always, ...sometimes }) as NewRecordingEvent),
  fc
    .tuple(
      fc.record({
        type: fc.constant('rows'),
        command: text,
        columns: fc.array(fc.record({ name: text, type: fc.nat() }), { maxLength: 3 }),
        rows: fc.array(row, { maxLength: 3 }),
      }),
      fc.record({ truncated: fc.boolean() }, some),
    )
    .map(([always, sometimes]) => ({ ...always, ...sometimes }) as NewRecordingEvent),
  fc
    .tuple(
      fc.record({
        type: fc.constant('result'),
        command: text,
        status: fc.constantFrom('completed', 'failed', 'refused'),
        ms,
      }),
      fc.record({ tag: text, rows: fc.nat(), sqlstate: text, message: text }, some),
    )
    .map(([always, sometimes]) => ({ ...always, ...sometimes }) as NewRecordingEvent),
  fc
    .tuple(
      fc.record({
        type: fc.constant('output'),
        channel: text,
        stream: fc.constantFrom('stdout', 'stderr'),
        data: value,
      }),
      fc.record({ notice: fc.boolean(), masked: fc.array(text, { maxLength: 2 }) }, some),
    )
    .map(([always, sometimes]) => ({ ...always, ...sometimes }) as NewRecordingEvent),
  fc
    .tuple(fc.record({ type: fc.constant('input'), channel: text }), fc.record({ data: value, hidden: fc.nat() }, some))
    .map(([always, sometimes]) => ({ ...always, ...sometimes }) as NewRecordingEvent),
  fc.record({ type: fc.constant('note'), text }).map((it) => it as NewRecordingEvent),
)

it('is what JSON.stringify would write, on one line, seq first', () => {
  fc.assert(
    fc.property(event, fc.nat(), micros, (event, seq, micros) => {
      const line = lineOf(event, seq, micros)
      expect(line.startsWith(`{"seq":${seq},"t":`)).toBe(true)
      expect(line.indexOf('\n')).toBe(line.length - 1)
      expect(line.isWellFormed()).toBe(true)
      expect(JSON.parse(line)).toEqual(JSON.parse(JSON.stringify({ seq, t: micros / 1000, ...event })))
    }),
    { seed: 20261121, numRuns: 2000 },
  )
})

it('knows every member that such an event may have', () => {
  const members = (schema: { shape: object }) => Object.keys(schema.shape).filter((key) => !/^(seq|t|type)$/.test(key))
  const written = (event: object) => Object.keys(JSON.parse(lineOf(event as NewRecordingEvent, 1, 0))).slice(3)
  const whole = (schema: { shape: object }) => Object.fromEntries(members(schema).map((key) => [key, '1']))
  const filled = {
    ...whole(CommandEvent),
    type: 'command',
    parameters: [],
    effects: [],
    classes: [],
    verdict: whole(VerdictRecord),
  }
  const command = JSON.parse(lineOf({ ...filled, verdict: { ...filled.verdict, policies: [] } } as never, 1, 0))
  expect(Object.keys(command).slice(3).sort()).toEqual(members(CommandEvent).sort())
  expect(Object.keys(command.verdict).sort()).toEqual(Object.keys(VerdictRecord.shape).sort())
  expect(written({ ...whole(RowsEvent), type: 'rows', columns: [], rows: [] }).sort()).toEqual(
    members(RowsEvent).sort(),
  )
  expect(written({ ...whole(ResultEvent), type: 'result' }).sort()).toEqual(members(ResultEvent).sort())
  expect(written({ ...whole(OutputEvent), type: 'output' }).sort()).toEqual(members(OutputEvent).sort())
  expect(written({ ...whole(InputEvent), type: 'input' }).sort()).toEqual(members(InputEvent).sort())
})
