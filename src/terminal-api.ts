import { ChannelEvent, ExitEvent } from '@countersign/contract/recording'
import { z } from 'zod'

/**
 * The part of ConsoleApi (console-api.ts) about what was said in a channel of SSH: a terminal, or the output of a
 * command without one. A channel's frames are numbered from 0 without gaps (`at`); all times are milliseconds since the
 * session began, as everywhere in a recording. Everything here reads what is on this computer: `openRecording` and
 * `followRecording` (or a download) bring it.
 *
 * To show a terminal at a time: `terminalAt`, reset a terminal of the answer's size, write `screen`, then the frames up
 * to `shown`; play on with the rest, and fetch what follows by `terminalFrames` from `next`. The terminal must be made
 * with `terminalOptions` (terminal.ts), or screens and frames do not fit together.
 */

const Count = z.number().int().nonnegative()
const Ms = z.number().nonnegative()
const Work = z.string().min(1).max(64)
const OfChannel = { session: z.string(), channel: z.string().describe('its id in the recording') }

/** One thing that happened in a channel. Bytes are text here, UTF-8 decoded across frames; what is none is U+FFFD. */
export const TerminalFrame = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('output'),
    t: Ms,
    seq: Count,
    stream: z.enum(['stdout', 'stderr']),
    text: z.string(),
    notice: z.boolean().optional().describe('true where the gateway said it, and not the host'),
    masked: z.array(z.string()).optional().describe('data classes of what is masked in it'),
  }),
  z.object({
    type: z.literal('input'),
    t: Ms,
    seq: Count,
    text: z.string().describe('empty where nothing was kept of it'),
    hidden: Count.optional().describe('bytes typed without an echo'),
  }),
  z.object({ type: z.literal('resize'), t: Ms, seq: Count, columns: Count, rows: Count }),
  z.object({ type: z.literal('signal'), t: Ms, seq: Count, signal: z.string() }),
  z.object({
    type: z.literal('exit'),
    t: Ms,
    seq: Count,
    code: z.number().int().optional(),
    signal: z.string().optional(),
  }),
])
export type TerminalFrame = z.infer<typeof TerminalFrame>

/** Some frames that follow one another, no more than some hundred KiB of them. */
export const TerminalFrames = z.object({
  at: Count.describe('number of the first one'),
  frames: z.array(TerminalFrame),
  next: Count.describe('number of the frame after the last one; where it is `count`, there is no more of it here'),
  count: Count.describe('how many there are here by now'),
  ended: z.boolean().describe('whether there will be no more than `count`'),
})
export type TerminalFrames = z.infer<typeof TerminalFrames>

/** A channel in few words. */
export const ChannelRow = z.object({
  channel: z.string(),
  kind: z.enum(['exec', 'shell', 'sftp']),
  terminal: z.boolean(),
  command: z.string().describe('its text, the first 1,000 characters'),
  step: Count.describe('the step of its command'),
  from: Ms,
  to: Ms.nullable().describe('when it ended; null where that is not here'),
  frames: Count,
  code: z.number().int().optional(),
  signal: z.string().optional(),
})
export type ChannelRow = z.infer<typeof ChannelRow>

/** What is worth going to in a channel. `line`: Enter was typed; `error`: it ended with another status than 0. */
export const terminalMarkerKinds = ['line', 'resize', 'signal', 'mask', 'hidden', 'notice', 'error', 'exit'] as const
export const TerminalMarker = z.object({
  t: Ms,
  at: Count.describe('number of its frame'),
  seq: Count,
  kind: z.enum(terminalMarkerKinds),
  label: z.string(),
})
export type TerminalMarker = z.infer<typeof TerminalMarker>

/** A channel: everything but its frames. What is found by looking through them is whole once `looked` is 1. */
export const TerminalSummary = z.object({
  session: z.string(),
  edition: z.string().describe('of another edition nothing that was told before counts'),
  event: ChannelEvent.describe('its kind, terminal and environment'),
  command: z.string().describe('the text of its command, whole'),
  step: Count,
  exit: ExitEvent.nullable().describe('null where its end is not here'),
  from: Ms,
  to: Ms.describe('of its end, or of its last frame here'),
  count: Count.describe('frames here'),
  ended: z.boolean(),
  looked: z.number().min(0).max(1).describe('how much of what is here was looked through, as told by `terminal` too'),
  characters: Count.describe('of output, as far as that was looked through'),
  largest: z
    .object({ columns: Count, rows: Count })
    .describe('the size that holds every size it had; 0 without a terminal'),
  idle: z
    .array(z.tuple([Ms, Ms]))
    .describe('spans of a second or more in which nothing was said, rising; at most 5,000, the longest ones'),
  markers: z
    .array(TerminalMarker)
    .describe('rising; at most 5,000: of `line`, `notice` and `resize` some are left out first'),
})
export type TerminalSummary = z.infer<typeof TerminalSummary>

/** Where words were found in what a channel shows as text (without escape sequences), across frames. */
export const TerminalHit = z.object({
  at: Count.describe('number of the frame in which they end'),
  t: Ms,
  seq: Count,
  stream: z.enum(['stdout', 'stderr', 'stdin']),
  before: z.string(),
  found: z.string(),
  after: z.string(),
})
export type TerminalHit = z.infer<typeof TerminalHit>

/** Ways in which a channel can be written to a file. */
export const terminalExports = [
  { id: 'cast', name: 'Terminal recording', extension: 'cast', says: 'asciicast v3, which asciinema plays' },
  { id: 'text', name: 'Text', extension: 'txt', says: 'what was shown, without colours and movements' },
  { id: 'output', name: 'Output, byte for byte', extension: 'out', says: 'what the client received on stdout' },
  { id: 'errors', name: 'Errors, byte for byte', extension: 'err', says: 'what the client received on stderr' },
] as const
export const TerminalExport = z.enum(terminalExports.map(({ id }) => id))
export type TerminalExport = z.infer<typeof TerminalExport>

export const terminalCalls = {
  /** The channels `from` up to and without `to` of a recording, in the order in which they began; at most 500. */
  recordingChannels: {
    input: z.object({ session: z.string(), from: Count.default(0), to: Count.default(500) }),
    output: z.object({ items: z.array(ChannelRow), count: Count }),
  },
  /**
   * A channel, as far as it is here. The first call begins to look through its frames (what makes seeking quick); how far
   * that is, is told by `terminal`: ask again when it says so.
   * @throws ConsoleError not-kept, no-such-channel, damaged-copy
   */
  terminal: { input: z.object(OfChannel), output: TerminalSummary },
  /**
   * What a terminal shows at `t`, and some frames after it. Waits where `t` is beyond what was looked through yet. A later
   * call of the same `work` ends an earlier one (`cancelled`): of a dragged slider only the last place counts.
   */
  terminalAt: {
    input: z.object({
      ...OfChannel,
      t: Ms,
      upTo: Count.optional().describe('instead of `t`: show the frames before this number, and no others'),
      work: Work.optional(),
    }),
    output: TerminalFrames.extend({
      columns: Count.describe('size of the terminal that `screen` is written to; 80 × 24 without one'),
      rows: Count,
      screen: z
        .string()
        .describe('to be written first; empty where the frames begin with the first one, or without a terminal'),
      shown: Count.describe('how many of `frames` are at or before `t`'),
      exact: z.boolean().describe('false where something of what is shown may be missing: rare, and only for a while'),
    }),
  },
  /** Frames from number `from` on; `bytes` is about how much of them. For a terminal and for output without one. */
  terminalFrames: {
    input: z.object({
      ...OfChannel,
      from: Count,
      bytes: z
        .number()
        .int()
        .min(1024)
        .max(1024 * 1024)
        .default(256 * 1024),
    }),
    output: TerminalFrames,
  },
  /** What is found is told by `foundInTerminal`, in order; answers once all was looked through, or 10,000 were found. */
  findInTerminal: {
    input: z.object({ ...OfChannel, words: z.string().max(1000), work: Work }),
    output: z.object({ hits: Count, more: z.boolean() }),
  },
  /**
   * While somebody watches a session that goes on: fetches what is new at once, and tells it by `tail`. Answers when the
   * session has ended, or by `cancel` of its work.
   */
  followRecording: {
    input: z.object({ session: z.string(), work: Work }),
    output: z.object({ ended: z.boolean() }),
  },
  /** Writes a channel to a file of the person's choice; the recording is fetched first where it isn't here. */
  exportTerminal: {
    input: z.object({ ...OfChannel, format: TerminalExport, work: Work }),
    output: z.object({ state: z.enum(['written', 'cancelled']), where: z.string().optional() }),
  },
} as const

export const terminalEvents = [
  z.object({
    type: z.literal('terminal'),
    ...OfChannel,
    looked: z.number().min(0).max(1),
    count: Count,
  }),
  z.object({
    type: z.literal('foundInTerminal'),
    work: z.string(),
    hits: z.array(TerminalHit),
    done: Count.describe('frames looked through'),
    total: Count,
  }),
  z.object({
    type: z.literal('tail'),
    work: z.string(),
    session: z.string(),
    edition: z.string(),
    seq: Count.describe('of the last line that is here now'),
    length: Ms,
    complete: z.boolean(),
    problem: z.string().optional().describe('why nothing new comes, while it is tried again'),
  }),
] as const
