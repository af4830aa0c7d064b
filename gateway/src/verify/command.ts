import { dirname, resolve } from 'node:path'
import { exitStatus, printable, reportJson, summaryText } from '@countersign/contract/ledger/report-text'
import {
  couldNot,
  pinned,
  processTerminal,
  type STOPPED,
  share,
  type Terminal,
  verifyBundleFile,
} from '@countersign/contract/node/verify-file'
import { milliseconds } from '../approvals/quorum.ts'
import { parseDocument } from '../config/document.ts'
import { formatProblem } from '../config/problem.ts'
import { readBounded, SecretError } from '../config/secret.ts'
import { CantVerify, type StoreReport, verifyStore } from './verify.ts'

export interface VerifyFlags {
  key?: string | undefined
  json?: boolean | undefined
}

/** `countersign-gateway verify --config FILE`: prints what was found, sets the exit code. */
export async function verifyConfig(config: string, flags: VerifyFlags): Promise<void> {
  const terminal = processTerminal('countersign-gateway')
  try {
    process.exitCode = await verifyFor(config, flags, terminal)
  } finally {
    terminal.close()
  }
}

/** `countersign-gateway verify --bundle FILE`: as `countersign verify FILE`. Sets the exit code. */
export async function verifyBundle(file: string, flags: VerifyFlags): Promise<void> {
  const terminal = processTerminal('countersign-gateway')
  try {
    process.exitCode = await verifyBundleFile(file, flags, terminal)
  } finally {
    terminal.close()
  }
}

async function verifyFor(
  config: string,
  { key, json }: VerifyFlags,
  terminal: Terminal,
): Promise<0 | 1 | 2 | typeof STOPPED> {
  const keys = key === undefined ? [] : pinned(key, terminal)
  if (!keys) return 2
  const place = await placeOfData(config, terminal)
  if (!place) return 2
  const { signal, progress } = terminal
  try {
    const report = await verifyStore({
      ...place,
      keys,
      ...(signal && { signal }),
      ...(progress && { onProgress: (done: number, of: number) => progress(`verifying ${share(done, of)}`) }),
    })
    progress?.('')
    if (json) {
      const { entries, erased, erasedRecordings, recordingBytes, live, unsigned, older, checkpoint } = report
      const { origin, size } = checkpoint ?? {}
      const counted = { entries, erased, erasedRecordings, recordingBytes, unsigned, older }
      terminal.out(reportJson(report, place.data, { ...counted, origin, size, live, pinned: report.pinned }))
    } else for (const line of reportText(report, place.data)) terminal.out(line)
    return exitStatus[report.outcome]
  } catch (error) {
    progress?.('')
    if (!(error instanceof CantVerify)) return couldNot(place.data, error, terminal)
    terminal.err(`can't tell: ${printable(error.message)}`)
    return 2
  }
}

/** A store's report as lines. */
export function reportText(report: StoreReport, data: string): string[] {
  const lines = summaryText(report, data)
  const { checkpoint, entries, erased, erasedRecordings, recordingBytes, live, unsigned, older } = report
  if (checkpoint) lines.push(`  log         ${checkpoint.origin}, ${entries} entries`)
  lines.push(`  recordings  ${recordingBytes} bytes are as they were logged`)
  if (erased + erasedRecordings > 0)
    lines.push(
      `  erased      payloads of ${erased} entries and ${erasedRecordings} recordings, by deletion entries that say so`,
    )
  if (older > 0)
    lines.push(`  before      ${older} rows of the database are older than the log: nothing vouches for them`)
  if (live)
    lines.push(
      `  running     a gateway is at work${unsigned > 0 ? `; ${unsigned} entries wait for its next checkpoint` : ''}`,
    )
  if (!report.pinned && report.signedBy.length > 0)
    lines.push(
      '  key         the one that this data folder remembers: who could write here could have replaced both. Pin it with --key',
    )
  return lines.map(printable)
}

/** Where the data lies. Nothing else of the configuration counts: evidence is verified where its secrets aren't. */
export async function placeOfData(
  config: string,
  terminal: Terminal,
): Promise<{ data: string; maxWindow: number } | undefined> {
  try {
    const { text } = await readBounded(resolve(config), 1024 * 1024)
    const parsed = parseDocument(config, text)
    if (parsed.ok) {
      const { data, approvals } = Object(parsed.document.content) as { data?: unknown; approvals?: unknown }
      const folder = typeof data === 'string' ? data : './countersign-data'
      const { max_window } = Object(approvals) as { max_window?: unknown }
      const maxWindow = milliseconds(String(max_window)) || EIGHT_HOURS
      return { data: resolve(dirname(resolve(config)), folder), maxWindow }
    }
    for (const problem of parsed.problems) terminal.err(formatProblem(problem))
  } catch (error) {
    if (!(error instanceof SecretError)) throw error
    terminal.err(`${error.message}; ${error.mend}`)
  }
  return undefined
}

/** `approvals.max_window` where it isn't said. */
const EIGHT_HOURS = 8 * 3_600_000
