import { createHash } from 'node:crypto'
import type { BundleVerdict, WitnessState } from '../../../witness-api.ts'
import type { Library } from '../library/library.ts'
import type { RecordingFile } from '../library/recording-file.ts'
import { compareRecording } from '../library/same-recording.ts'
import type { Printer } from '../ports/printer.ts'
import { type ReportEvidence, report } from '../report/report.ts'
import type { ExportSource } from './exports.ts'
import { linesIn } from './reading.ts'

/** What a report says beside the recording: who prints it, and how far it can be believed. */
export interface Printing {
  person(): string
  /** The newest verdict on that session's bundle. */
  verdict(session: string): BundleVerdict | null
  /** Verifier keys of that log that this desktop trusts. */
  keys(origin: string): readonly string[]
  now(): Date
  printer?: Printer | undefined
}

/** The verifier keys of a log, the pinned one first. */
export function witnessedKeys({ log }: WitnessState, origin: string): string[] {
  return log?.origin === origin ? log.keys.map(({ vkey }) => vkey) : []
}

/** What a report says beside the recording. */
export interface Paper {
  evidence: ReportEvidence
  by: string
  /** ISO 8601 */
  at: string
  printer: Printer | undefined
}

/** The session as a page for paper (report/report.ts). */
export async function* writeReport(source: ExportSource): AsyncGenerator<string> {
  yield await pageOf(source, await source.paper())
}

/** The same as PDF, by a shell that prints. */
export async function* writePdf(source: ExportSource): AsyncGenerator<Uint8Array> {
  const paper = await source.paper()
  if (!paper.printer) throw new Error('This shell makes no PDF: export the report, open it, and print it.')
  yield await paper.printer.pdf(await pageOf(source, paper), source.signal)
}

const pageOf = (source: ExportSource, { evidence, by, at }: Paper) =>
  report({ session: source.session, lines: linesIn(source), annotations: source.annotations, evidence, by, at })

export async function paperOf(
  session: string,
  printing: Printing,
  library: Pick<Library, 'bundle'>,
  file: RecordingFile,
): Promise<Paper> {
  return {
    evidence: await asPrinted(await evidenceOf(session, printing, library), printing.verdict(session), session, file),
    by: printing.person(),
    at: printing.now().toISOString(),
    printer: printing.printer,
  }
}

/** A verdict is about a bundle; what is printed is a recording that the gateway gave out by itself. Is it the one in it? */
async function asPrinted(
  evidence: ReportEvidence,
  verdict: BundleVerdict | null,
  session: string,
  file: RecordingFile,
): Promise<ReportEvidence> {
  if (!verdict || evidence.outcome === 'broken') return evidence
  const bundled = verdict.about?.recordings?.find((one) => one.session === session)
  const is = bundled && (await compareRecording(file, bundled))
  if (is === 'same') return evidence
  const { why, ...rest } = evidence
  if (is === 'other')
    return {
      ...rest,
      outcome: 'broken',
      why: `What is printed here is not the recording that its bundle has. Of the bundle itself this was found: ${why}`,
    }
  const but =
    is === 'more'
      ? 'What is printed goes on after the end of the recording in its bundle, which was made before: get a newer bundle.'
      : is === 'less'
        ? 'What is printed is shorter than the recording in its bundle: it was not held against it.'
        : 'What is printed was not held against the recording in its bundle: verify the session again.'
  return {
    ...rest,
    outcome: is === 'more' && evidence.outcome !== 'cant-tell' ? 'incomplete' : 'cant-tell',
    why: `${but} Of the bundle itself this was found: ${why}`,
  }
}

async function evidenceOf(
  session: string,
  printing: Printing,
  library: Pick<Library, 'bundle'>,
): Promise<ReportEvidence> {
  const verdict = printing.verdict(session)
  const kept = await library.bundle(session)
  const hash = kept && createHash('sha256')
  if (kept && hash) for await (const bytes of kept.read()) hash.update(bytes)
  const bundle = hash ? { bundleSha256: hash.digest('hex') } : {}
  if (!verdict)
    return {
      outcome: 'not-verified',
      why: 'Its evidence was not verified on the computer that printed this.',
      ...bundle,
    }
  const { outcome, why, at, about, findings } = verdict
  return {
    outcome,
    why,
    at,
    ...(about && { origin: about.origin, keys: printing.keys(about.origin) }),
    findings: findings.map(({ text, place }) => (place ? `${text} (${place})` : text)),
    ...bundle,
  }
}
