import { z } from 'zod'
import { Effect, Parameter } from './approval.ts'
import { AgentRef } from './identity.ts'

/**
 * A recording is NDJSON (one JSON object a line, UTF-8, `\n`), first a header, then events in the order in which they
 * happened. `seq` counts events from 1 without gaps; `t` is milliseconds since the header's `startedAt`.
 * A line is written before what it describes is forwarded.
 */
export const RecordingHeader = z.object({
  type: z.literal('header'),
  format: z.literal('countersign-recording/1'),
  session: z.string(),
  connection: z.string(),
  protocol: z.string(),
  mode: z.enum(['enforce', 'observe']),
  agent: AgentRef,
  purpose: z.string().optional(),
  grants: z
    .array(z.string())
    .optional()
    .describe('ids of the live grants it was opened by; absent where there were none'),
  grant: z.string().optional().describe('the one that its token is bound to: no other counts for it'),
  client: z.object({ address: z.string(), application: z.string().optional() }),
  policy: z.string().optional().describe('version of the policy set in force when it began'),
  startedAt: z.iso.datetime(),
  resultBound: z
    .object({ rows: z.number().int(), bytes: z.number().int() })
    .describe('result rows past these bounds are counted but not kept'),
})
export type RecordingHeader = z.infer<typeof RecordingHeader>

const base = { seq: z.number().int().positive(), t: z.number().nonnegative() }

/** What the gate answered about a command. */
export const VerdictRecord = z.object({
  outcome: z.enum(['allow', 'deny', 'hold']),
  policies: z.array(z.string()).describe('ids of the policies that decided'),
  reason: z.string().optional(),
  observed: z.boolean().optional().describe('true where mode: observe let pass what the verdict would have refused'),
})
export type VerdictRecord = z.infer<typeof VerdictRecord>

export const CommandEvent = z.object({
  ...base,
  type: z.literal('command'),
  command: z.string().describe('id, unique in the recording'),
  text: z.string(),
  parameters: z.array(Parameter),
  kind: z.string(),
  effects: z.array(Effect),
  digest: z.string(),
  classes: z
    .array(z.string())
    .optional()
    .describe('data classes that it may read or write; absent where there are none'),
  verdict: VerdictRecord,
})

/** A hold's life: opened, then released or ended. */
export const HoldEvent = z.object({
  ...base,
  type: z.literal('hold'),
  command: z.string(),
  approval: z.string(),
  state: z.enum(['pending', 'approved', 'used', 'denied', 'expired', 'cancelled']),
  by: z.array(z.string()).optional().describe('names of the people who decided'),
  reason: z.string().optional(),
})

/** Why values of a column are masked in the recording, and whether the agent got them as they were. */
export const RowsMark = z.object({
  class: z.string().describe('data class, `derived` for what was computed from classified columns'),
  style: z.string().describe('redact, partial, hash or null'),
  revealed: z.boolean().describe('true where the agent saw what is masked here'),
  detected: z.boolean().optional().describe('true where it was found by its content, in some of the rows'),
})
export type RowsMark = z.infer<typeof RowsMark>

export const ResultColumn = z.object({
  name: z.string(),
  type: z.number().int().describe('type OID'),
  masked: z.array(RowsMark).optional().describe('absent where the values are what the server sent'),
})

/**
 * Result rows as the client received them (text form; `{base64}` where a value has none), but for what was revealed to
 * it: a recording holds the masked form always, and marks the columns.
 */
export const RowsEvent = z.object({
  ...base,
  type: z.literal('rows'),
  command: z.string(),
  columns: z.array(ResultColumn),
  rows: z.array(z.array(Parameter)),
  truncated: z.boolean().optional().describe('true where the bound was reached: later rows are counted, not kept'),
})

export const ResultEvent = z.object({
  ...base,
  type: z.literal('result'),
  command: z.string(),
  status: z.enum(['completed', 'failed', 'refused']),
  tag: z.string().optional().describe('CommandComplete tag, for example DELETE 3'),
  rows: z.number().int().nonnegative().optional(),
  sqlstate: z.string().optional(),
  message: z.string().optional(),
  ms: z.number().nonnegative().describe('from forwarding to the last byte of the answer'),
})

export const NoteEvent = z.object({
  ...base,
  type: z.literal('note'),
  text: z.string().describe('something the gateway did or saw that is no command, for example a cancel request'),
})

export const EndEvent = z.object({
  ...base,
  type: z.literal('end'),
  state: z.enum(['closed', 'terminated', 'interrupted']),
  reason: z.string(),
})

export const RecordingEvent = z.discriminatedUnion('type', [
  CommandEvent,
  HoldEvent,
  RowsEvent,
  ResultEvent,
  NoteEvent,
  EndEvent,
])
export type RecordingEvent = z.infer<typeof RecordingEvent>

export const RecordingLine = z.discriminatedUnion('type', [RecordingHeader, ...RecordingEvent.options])
export type RecordingLine = z.infer<typeof RecordingLine>

/** Answer of `GET /v1/sessions/ID/events`. */
export const EventsPage = z.object({
  items: z.array(RecordingEvent),
  next: z.string().nullable().describe('into `after` for what follows; null where nothing more will come'),
})
export type EventsPage = z.infer<typeof EventsPage>

/** An event before the recorder has given it its place and time. */
export type NewRecordingEvent = RecordingEvent extends infer E
  ? E extends unknown
    ? Omit<E, 'seq' | 't'>
    : never
  : never
