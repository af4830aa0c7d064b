import type { RecordingLine } from '@countersign/contract/recording'
import type { Session } from '@countersign/contract/session'
import type { RecordingSummary } from '../../../library-api.ts'
import type { RecordingFile } from './recording-file.ts'

export interface WindowAsked {
  session: string
  by: 'step' | 'seq'
  from: number
  to: number
}

/** Bytes after which a window ends; the step or line that goes past it is in it. */
const windowBytes = 2 * 1024 * 1024
const atOnce = 8

/** Some steps' lines, or lines by their numbers: as many as were asked for, or as many as are no more than some MiB. */
export async function readWindow(
  file: RecordingFile,
  { by, from, to }: WindowAsked,
): Promise<{ from: number; to: number; lines: RecordingLine[] }> {
  const end = Math.min(to, by === 'step' ? file.index.steps : file.index.lines)
  const lines: RecordingLine[] = []
  let bytes = 0
  let at = from
  while (at < end && bytes < windowBytes) {
    const next = Math.min(end, at + atOnce)
    const numbers = by === 'step' ? file.index.linesOf(at, next) : range(at, next)
    for (const number of numbers) bytes += await file.lengthOf(number)
    lines.push(...(await file.lines(numbers)))
    at = next
  }
  return { from, to: at, lines }
}

function range(from: number, to: number): number[] {
  return Array.from({ length: to - from }, (_, i) => from + i)
}

/** A recording as far as it is here, or what came since `have`. */
export function summarized(
  file: RecordingFile,
  session: Session,
  told: {
    have: { edition: string; seq: number; markers: number; moments: number } | undefined
    source: 'gateway' | 'local'
    loading: boolean
    problem: string | null | undefined
  },
): RecordingSummary {
  const { have, source, loading, problem } = told
  const { index } = file
  const slice = index.slice(have?.edition === file.edition && have.seq <= file.lastSeq ? have : undefined)
  return {
    session,
    header: file.header ?? null,
    edition: file.edition,
    complete: file.ended,
    loading,
    source,
    ...(problem ? { problem } : {}),
    bytes: file.bytes,
    total: file.ended ? file.bytes : session.recording.bytes > file.bytes ? session.recording.bytes : null,
    seq: file.lastSeq,
    length: index.length,
    steps: index.steps,
    index: {
      from: slice.from,
      labels: slice.labels,
      columns: Buffer.from(slice.columns.buffer, slice.columns.byteOffset, slice.columns.length).toString('base64'),
    },
  }
}
