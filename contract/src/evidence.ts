import { z } from 'zod'
import { listOf } from './api.ts'
import { PersonRef } from './identity.ts'

/** What gateway, consoles and command line say to each other about the log and what is kept beside it. */

const Count = z.number().int().nonnegative()
const Instant = z.iso.datetime({ offset: true })

/** Answer of `GET /v1/ledger`: whose log it is, and how it is trusted. */
export const LedgerState = z.object({
  origin: z.string(),
  size: Count.describe('entries that the newest checkpoint covers'),
  keys: z
    .array(z.string())
    .min(1)
    .describe('verifier keys (C2SP signed-note), the first one first, the current one last'),
  handovers: z.array(z.string()).describe('signed checkpoints by which one key was handed over to the next'),
  witnesses: z
    .array(z.object({ key: z.string(), person: PersonRef, since: Instant, size: Count.optional() }))
    .describe('consoles that may cosign: key, whose, and the size that each cosigned last'),
})
export type LedgerState = z.infer<typeof LedgerState>

/** What the feed tells of a checkpoint; the note is the whole signed checkpoint. */
export const LedgerHead = z.object({ origin: z.string(), size: Count, note: z.string() })
export type LedgerHead = z.infer<typeof LedgerHead>

/** Body of `POST /v1/ledger/cosignatures`: the witness's own key, and the checkpoint with its cosignature line. */
export const Cosignature = z.strictObject({ key: z.string().max(1000), note: z.string().max(64_000) })
export type Cosignature = z.infer<typeof Cosignature>

/** The console makes ids, so that what was sent twice is there once. */
const OwnId = z.string().regex(/^[a-z]{2}_[a-z2-7]{24}$/, 'two letters, _, and 24 of a-z 2-7')
export const AnnotationId = OwnId.startsWith('an_', 'begins with an_')
export const PlaybackId = OwnId.startsWith('pb_', 'begins with pb_')

/** A lone surrogate has no canonical form, so it couldn't be sealed; U+0000 is none of any text's. */
const written = (most: number) =>
  z
    .string()
    .max(most)
    .refine((text) => text.isWellFormed() && !text.includes('\0'), { message: 'has characters that no text has' })
/** Milliseconds since a recording began; no session lasts ten years. */
const Moment = z.number().nonnegative().max(315_360_000_000)

/** A remark of a person on a moment or a range of a recording. */
export const Annotation = z.object({
  id: AnnotationId,
  session: z.string(),
  by: PersonRef,
  from: z.number().nonnegative().describe('milliseconds since the recording began'),
  to: z.number().nonnegative().optional(),
  text: z.string(),
  tags: z.array(z.string()),
  madeAt: Instant.describe('by the clock of who made it, perhaps offline'),
  receivedAt: Instant.optional().describe('absent while the gateway has not got it'),
  logged: z
    .boolean()
    .optional()
    .describe('whether all that is said of it here is in the ledger, on disk; not on the feed'),
  withdrawn: z.object({ at: Instant, reason: z.string() }).optional(),
})
export type Annotation = z.infer<typeof Annotation>

const Tag = z.string().regex(/^[\p{L}\p{N}][\p{L}\p{N} _.:-]{0,39}$/u)

const noted = {
  from: Moment,
  to: Moment.optional(),
  text: written(10_000).refine((text) => text.trim() !== '', { message: 'says something' }),
  tags: z.array(Tag).max(20).default([]),
}
const inOrder = ({ from, to }: { from: number; to?: number | undefined }) => to === undefined || to >= from
const outOfOrder = { message: '`to` is not before `from`', path: ['to'] }

/** What is noted: of a moment, or of a range. */
export const Note = z.strictObject(noted).refine(inOrder, outOfOrder)
export type Note = z.infer<typeof Note>

/** Body of `PUT /v1/sessions/ID/annotations/ANNOTATION`. The same again is 200, another text under the same id 409. */
export const NewAnnotation = z.strictObject({ ...noted, madeAt: Instant }).refine(inOrder, outOfOrder)
export type NewAnnotation = z.infer<typeof NewAnnotation>

/** Body of `POST /v1/sessions/ID/annotations/ANNOTATION/withdraw`, for who made it. It stays in the log. */
export const WithdrawAnnotation = z.strictObject({ reason: written(2000).default('') })
export type WithdrawAnnotation = z.input<typeof WithdrawAnnotation>

/** Body of `PUT /v1/sessions/ID/playbacks/PLAYBACK` (pb_…): what was played from a library without the gateway. */
export const OfflinePlayback = z.strictObject({ playedAt: Instant })
export type OfflinePlayback = z.infer<typeof OfflinePlayback>

/** Keeps what it names from being deleted, until it is lifted. */
export const LegalHold = z.object({
  id: z.string(),
  by: PersonRef,
  reason: z.string(),
  placedAt: Instant,
  sessions: z.array(z.string()),
  connections: z.array(z.string()),
  agents: z.array(z.string()),
  lifted: z.object({ by: PersonRef, reason: z.string(), at: Instant }).optional(),
  covers: Count.optional().describe('sessions with a recording that it keeps by now, up to 10,000'),
})
export type LegalHold = z.infer<typeof LegalHold>

/** Body of `POST /v1/legal-holds`. */
export const NewLegalHold = z
  .strictObject({
    reason: z.string().trim().min(1).max(2000),
    sessions: z.array(z.string().max(100)).max(1000).default([]),
    connections: z.array(z.string().max(100)).max(1000).default([]),
    agents: z.array(z.string().max(1000)).max(1000).default([]),
  })
  .refine(({ sessions, connections, agents }) => sessions.length + connections.length + agents.length > 0, {
    message: 'a hold names sessions, connections or agents',
  })
export type NewLegalHold = z.infer<typeof NewLegalHold>

/** Body of `POST /v1/legal-holds/ID/lift`. */
export const LiftLegalHold = z.strictObject({ reason: z.string().trim().min(1).max(2000) })
export type LiftLegalHold = z.infer<typeof LiftLegalHold>

/**
 * What of a session retention takes: the recording with all else that says what was done; what approvals say of held
 * commands; annotations; what is left of the payloads of its entries.
 */
export const RetentionPart = z.enum(['recording', 'approvals', 'annotations', 'entries'])
export type RetentionPart = z.infer<typeof RetentionPart>

/** Why something is to be deleted, or is kept though its time is over. */
export const RetentionItem = z.object({
  session: z.string(),
  connection: z.string(),
  agent: z.string(),
  closedAt: Instant,
  rule: z.string().describe('the rule that it falls under, in words'),
  takes: z.array(RetentionPart),
  bytes: Count,
  entries: Count.describe('entries whose payload and salt go'),
  heldBy: z.array(z.string()).describe('legal holds that keep it; nothing of it goes'),
})
export type RetentionItem = z.infer<typeof RetentionItem>

/** What a retention run did, or (dry) would do. */
export const RetentionRun = z.object({
  id: z.string(),
  dry: z.boolean(),
  at: Instant,
  by: z.string().describe('a person, or the gateway by its schedule'),
  entry: Count.optional().describe('the deletion.run entry'),
  recordings: Count,
  bytes: Count,
  entries: Count,
  kept: Count.describe('whose time is over, but which a legal hold keeps'),
  more: z.boolean().describe('there is more than one run takes: the next one goes on'),
  done: z.boolean().describe('false while what its entry names is being removed, or where it is dry'),
  items: z.array(RetentionItem).describe('the first 10,000'),
})
export type RetentionRun = z.infer<typeof RetentionRun>

/** A rule in force. Of rules that fit, the shortest counts. */
export const RetentionRule = z.object({
  connection: z.string().optional().describe('absent: of all that have no rule of their own for it'),
  what: z.enum(['recordings', 'approvals', 'annotations', 'entries', 'class']),
  class: z.string().optional(),
  keeps: z.number().positive().nullable().describe('milliseconds after a session has ended; null: for ever'),
})
export type RetentionRule = z.infer<typeof RetentionRule>

/** Answer of `GET /v1/retention`. */
export const RetentionState = z.object({
  rules: z.array(RetentionRule),
  nextRun: Instant.optional().describe('when the gateway looks next; absent while it stops'),
  waiting: Count.describe('sessions whose time is over and which the ledger has not got yet: nothing of them goes'),
  runs: z.array(RetentionRun).describe('the last 20, newest first, without items'),
})
export type RetentionState = z.infer<typeof RetentionState>

/** Body of `POST /v1/retention/runs`. */
export const StartRetentionRun = z.strictObject({ dry: z.boolean() })
export type StartRetentionRun = z.infer<typeof StartRetentionRun>

/** A command as the search finds it: `GET /v1/commands`, newest first. Alike ones of a session are one, with a count. */
export const FoundCommand = z.object({
  session: z.string(),
  seq: z.number().int().positive().describe('of the first one, in the recording'),
  t: z.number().nonnegative().describe('milliseconds since the recording began'),
  at: Instant,
  count: z.number().int().positive(),
  connection: z.string(),
  agent: z.string(),
  agentName: z.string(),
  kind: z.string(),
  verdict: z.enum(['allow', 'deny', 'hold']),
  tables: z.array(z.string()),
  text: z.string().describe('at most 1,000 characters'),
  found: z.enum(['command', 'result']).describe('whether its text has the words, or what came back'),
})
export type FoundCommand = z.infer<typeof FoundCommand>

/** Answer of `GET /v1/commands`. */
export const FoundCommands = listOf(FoundCommand).extend({
  behind: Count.optional().describe('recordings that the index does not have yet: what they hold may be missing'),
})
export type FoundCommands = z.infer<typeof FoundCommands>

/** Query of `GET /v1/commands`, beside `limit` and `after`. */
export const CommandQuery = z.object({
  text: z.string().max(1000).optional().describe('words; the last may be a beginning'),
  session: z.string().max(100).optional(),
  agent: z.string().max(1000).optional(),
  connection: z.string().max(100).optional(),
  verdict: z.enum(['allow', 'deny', 'hold']).optional(),
  table: z.string().max(300).optional().describe('as schema.table'),
  from: Instant.optional(),
  to: Instant.optional(),
})
export type CommandQuery = z.infer<typeof CommandQuery>
