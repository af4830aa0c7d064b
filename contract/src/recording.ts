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
  outputBound: z
    .number()
    .int()
    .optional()
    .describe('bytes of each stream of a channel that are kept; what follows is counted and hashed. SSH only'),
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

/** Bytes of a file that passed. `sha256` is there where they passed whole and in order. */
export const Transferred = z.object({
  read: z.number().int().nonnegative(),
  written: z.number().int().nonnegative(),
  sha256: z.string().optional().describe('hex, of what was read or written from the first byte to the last'),
})
export type Transferred = z.infer<typeof Transferred>

export const ResultEvent = z.object({
  ...base,
  type: z.literal('result'),
  command: z.string(),
  status: z.enum(['completed', 'failed', 'refused']),
  tag: z.string().optional().describe('CommandComplete tag, for example DELETE 3'),
  rows: z.number().int().nonnegative().optional(),
  sqlstate: z.string().optional(),
  message: z.string().optional(),
  transferred: Transferred.optional().describe('of a file that was read or written'),
  ms: z.number().nonnegative().describe('from forwarding to the last byte of the answer'),
})

/**
 * A channel of SSH in which a command runs: `command` is the id of the command that was let pass. What was said in it
 * follows as output, input, resize and signal events, and ends with an exit event.
 */
export const ChannelEvent = z.object({
  ...base,
  type: z.literal('channel'),
  channel: z.string().describe('id, unique in the recording'),
  command: z.string(),
  kind: z.enum(['exec', 'shell', 'sftp']),
  terminal: z
    .object({ type: z.string(), columns: z.number().int().nonnegative(), rows: z.number().int().nonnegative() })
    .optional()
    .describe('absent where no terminal was asked for'),
  environment: z.record(z.string(), z.string()).optional().describe('what was let through of it'),
})

/**
 * What the client received, byte for byte but for what was masked: text where the bytes are whole UTF-8 without NUL, else
 * `{base64}`. A character that was cut by a packet's border begins in one event and ends in the next.
 */
export const OutputEvent = z.object({
  ...base,
  type: z.literal('output'),
  channel: z.string(),
  stream: z.enum(['stdout', 'stderr']),
  data: Parameter,
  notice: z.boolean().optional().describe('true where the gateway said it, and not the host'),
  masked: z.array(z.string()).optional().describe('data classes of what is masked in it; absent where nothing is'),
})

/**
 * What the client sent. With a terminal it stands here by lines, once the terminal has shown them; what it didn’t show (a
 * password, keys of a full-screen program) is counted, as what is past the bound is in the exit event.
 */
export const InputEvent = z.object({
  ...base,
  type: z.literal('input'),
  channel: z.string(),
  data: Parameter.optional().describe('absent where it was not kept'),
  hidden: z.number().int().positive().optional().describe('how many bytes were typed without an echo'),
})

export const ResizeEvent = z.object({
  ...base,
  type: z.literal('resize'),
  channel: z.string(),
  columns: z.number().int().nonnegative(),
  rows: z.number().int().nonnegative(),
})

export const SignalEvent = z.object({
  ...base,
  type: z.literal('signal'),
  channel: z.string(),
  signal: z.string().describe('without SIG (RFC 4254, section 6.10)'),
})

const streams = <T extends z.ZodType>(each: T) => z.object({ stdin: each, stdout: each, stderr: each })

/**
 * A channel's end. `bytes` and `sha256` are of all that passed, kept or not; the hash is of the masked form of what was
 * masked, and not of what was typed unseen: a short secret could be found by it.
 */
export const ExitEvent = z.object({
  ...base,
  type: z.literal('exit'),
  channel: z.string(),
  code: z.number().int().optional().describe('exit status; absent where it was ended by a signal, or never told'),
  signal: z.string().optional(),
  bytes: streams(z.number().int().nonnegative()),
  sha256: streams(z.string()).describe('hex'),
  truncated: z
    .array(z.enum(['stdin', 'stdout', 'stderr']))
    .optional()
    .describe('streams that passed the bound of what is kept: the rest is only counted and hashed'),
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
  ChannelEvent,
  OutputEvent,
  InputEvent,
  ResizeEvent,
  SignalEvent,
  ExitEvent,
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
