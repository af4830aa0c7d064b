import { CommandQuery, FoundCommand } from '@countersign/contract/evidence'
import { RecordingHeader, RecordingLine } from '@countersign/contract/recording'
import { Session } from '@countersign/contract/session'
import { z } from 'zod'

/** The part of ConsoleApi (console-api.ts) about recordings: to play them, to keep them here, to give them away. */

const Count = z.number().int().nonnegative()
const Work = z.string().min(1).max(64)

/** A recording that is kept on this computer, or on its way there. */
export const LibraryItem = z.object({
  session: z.string(),
  pinnedAt: z.iso.datetime().nullable().describe('when somebody wanted it kept; null where it was merely looked at'),
  usedAt: z.iso.datetime(),
  state: z
    .enum(['waiting', 'downloading', 'partial', 'live', 'complete', 'damaged'])
    .describe('partial: a download that stopped; live: all there is of a session that goes on'),
  bytes: Count.describe('of the recording, as far as it is here'),
  total: Count.nullable().describe('of the whole recording, where that is known'),
  stored: Count.describe('what it takes on the disk, its bundle included'),
  bundle: z.enum(['none', 'waiting', 'downloading', 'kept', 'failed']),
  problem: z.string().optional(),
})
export type LibraryItem = z.infer<typeof LibraryItem>

export const LibraryUsage = z.object({
  pinned: Count.describe('bytes on the disk of what is pinned'),
  cached: Count.describe('bytes on the disk of what was looked at'),
  free: Count.nullable().describe('bytes that the disk has left'),
})
export type LibraryUsage = z.infer<typeof LibraryUsage>

export const LibraryState = LibraryUsage.extend({
  kept: z.boolean().describe('false where there is no safe place for the key: nothing outlives the console then'),
  items: z.array(LibraryItem),
})
export type LibraryState = z.infer<typeof LibraryState>

/** Columns of the compact index, from some place on (recording-index.ts unpacks them). */
export const IndexSlice = z.object({
  from: z.object({ step: Count, hold: Count, marker: Count, moment: Count }),
  columns: z.string().describe('base64'),
  labels: z.array(z.string()).describe('what the markers’ label numbers mean'),
})
export type IndexSlice = z.infer<typeof IndexSlice>

/** A recording as far as it is here: everything but its lines. */
export const RecordingSummary = z.object({
  session: Session,
  header: RecordingHeader.nullable(),
  edition: z.string().describe('of another edition nothing that was told before counts'),
  complete: z.boolean().describe('whether its last line is here'),
  loading: z.boolean().describe('whether more of it is on its way'),
  source: z.enum(['gateway', 'local']),
  problem: z.string().optional().describe('why the rest is not here'),
  bytes: Count,
  total: Count.nullable(),
  seq: Count.describe('of the last line'),
  length: z.number().nonnegative().describe('milliseconds from the beginning to the last line'),
  steps: Count,
  index: IndexSlice,
})
export type RecordingSummary = z.infer<typeof RecordingSummary>

/** Ways in which a session can be written to a file. */
export const exportFormats = [
  {
    id: 'pdf',
    name: 'Report, PDF',
    extension: 'pdf',
    says: 'for paper: the picture, who decided, notes, what was done',
  },
  {
    id: 'report',
    name: 'Report',
    extension: 'html',
    says: 'what was done, decided and noted, as a page to read or print',
  },
  { id: 'transcript', name: 'Transcript', extension: 'txt', says: 'what was said and done, as text' },
  { id: 'asciicast', name: 'Terminal recording', extension: 'cast', says: 'asciicast v3, which asciinema plays' },
  { id: 'csv', name: 'Table of commands', extension: 'csv', says: 'a row a command, with verdict, result and times' },
  { id: 'ndjson', name: 'Recording', extension: 'ndjson', says: 'as the gateway wrote it, a JSON object a line' },
  { id: 'bundle', name: 'Evidence bundle', extension: 'tar', says: 'with proofs, for countersign verify' },
] as const
export const ExportFormat = z.enum(exportFormats.map(({ id }) => id))
export type ExportFormat = z.infer<typeof ExportFormat>

export const libraryCalls = {
  /** Opens a recording, or tells what came since: `have` is what a summary told before. */
  openRecording: {
    input: z.object({
      session: z.string(),
      have: z.object({ edition: z.string(), seq: Count, markers: Count, moments: Count }).optional(),
    }),
    output: RecordingSummary,
  },
  /** The lines of steps `from` up to and without `to` (or of those numbers of lines); fewer where they are large. */
  recordingWindow: {
    input: z.object({ session: z.string(), by: z.enum(['step', 'seq']).default('step'), from: Count, to: Count }),
    output: z.object({ from: Count, to: Count, lines: z.array(RecordingLine) }),
  },
  /** What is found is told by `found`, in order; answers once all was looked through. `work` is made by the caller. */
  findInRecording: {
    input: z.object({ session: z.string(), words: z.string().max(1000), work: Work }),
    output: z.object({ steps: Count }),
  },
  /** Commands in what is kept here, newest first, whatever the gateway has. */
  findKeptCommands: {
    input: CommandQuery.extend({ limit: z.number().int().positive().max(1000).default(200), work: Work.optional() }),
    output: z.object({
      items: z.array(FoundCommand),
      looked: Count.describe('recordings that were looked through'),
      more: z.boolean(),
    }),
  },
  /** Writes a session to a file of the person's choice. How far it is, is told by `export`. */
  exportSession: {
    input: z.object({ session: z.string(), format: ExportFormat, work: Work }),
    output: z.object({ state: z.enum(['written', 'cancelled']), where: z.string().optional() }),
  },
  /** Ends a search or an export; what isn't under way any more has ended anyway. */
  cancel: { input: z.object({ work: Work }), output: z.object({}) },
  library: { input: z.object({}), output: LibraryState },
  /** Keeps these, with their bundles, until they are unpinned. */
  pin: { input: z.object({ sessions: z.array(z.string()).max(1000) }), output: z.object({ pinned: Count }) },
  unpin: { input: z.object({ sessions: z.array(z.string()).max(1000) }), output: z.object({}) },
  /** Fetches what is missing of a recording; `cancelDownload` stops that, what is here stays. */
  download: { input: z.object({ session: z.string() }), output: z.object({}) },
  cancelDownload: { input: z.object({ session: z.string() }), output: z.object({}) },
  /** Takes recordings that are not pinned from this computer. */
  forgetCached: { input: z.object({}), output: z.object({}) },
} as const

export const libraryEvents = [
  z.object({
    type: z.literal('library'),
    changed: z.array(LibraryItem),
    removed: z.array(z.string()),
    usage: LibraryUsage,
  }),
  z.object({
    type: z.literal('found'),
    work: z.string(),
    steps: z.array(Count).describe('steps in which the words were found since the last one, rising'),
    done: Count.describe('bytes looked through'),
    total: Count,
  }),
  z.object({
    type: z.literal('export'),
    work: z.string(),
    done: Count,
    total: Count.nullable(),
    url: z.string().optional().describe('where the page is to fetch the file, in a shell that downloads'),
  }),
] as const
