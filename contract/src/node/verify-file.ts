import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { verifyBundle } from '../ledger/bundle-verify.ts'
import type { LedgerError } from '../ledger/errors.ts'
import { parseVerifierKey, type VerifierKey } from '../ledger/note.ts'
import { bundleText, exitStatus, printable, reportJson } from '../ledger/report-text.ts'
import { defaultLimits } from '../ledger/tar.ts'
import { nodeCrypto } from './ledger-crypto.ts'

/** A terminal, or what stands in for one. */
export interface Terminal {
  out(line: string): void
  err(line: string): void
  /** Shows how far it is, in the place of what was shown before; absent where nobody looks. */
  progress?: ((text: string) => void) | undefined
  signal?: AbortSignal | undefined
}

/** Exit status of what somebody stopped (128 + SIGINT). */
export const STOPPED = 130

/**
 * `verify` of a bundle, as gateway and command line do it: prints what was found and answers the exit status.
 * @param file path of the bundle
 * @param options key: the verifier key that somebody pinned; json: one object instead of lines
 */
export async function verifyBundleFile(
  file: string,
  options: { key?: string | undefined; json?: boolean | undefined },
  terminal: Terminal,
): Promise<0 | 1 | 2 | typeof STOPPED> {
  const keys = options.key === undefined ? [] : pinned(options.key, terminal)
  if (!keys) return 2
  try {
    const { size } = await stat(file)
    const { signal, progress } = terminal
    // Aborted here, too: a read that waits (a pipe) would keep it from being noticed.
    const source = createReadStream(file, { highWaterMark: 256 * 1024, ...(signal && { signal }) })
    const report = await verifyBundle(nodeCrypto, source, {
      keys,
      // A file on a disk is bounded by the disk; what is kept in memory is bounded by the verifier.
      limits: { ...defaultLimits, bytes: Math.max(size, defaultLimits.bytes) },
      ...(signal && { signal }),
      ...(progress && { onProgress: (bytes: number) => progress(`verifying ${share(bytes, size)}`) }),
    })
    progress?.('')
    const { manifest, checkpoint, parts } = report
    const campaign = report.campaign?.head
    const { about, madeAt, madeBy, origin, size: entries } = manifest ?? {}
    if (options.json)
      terminal.out(
        reportJson(report, file, { about, madeAt, madeBy, origin, entries, parts, size: checkpoint?.size, campaign }),
      )
    else for (const line of bundleText(report, file)) terminal.out(line)
    return exitStatus[report.outcome]
  } catch (error) {
    terminal.progress?.('')
    return couldNot(file, error, terminal)
  }
}

/** The key that was given; undefined, and said why, where it is none. */
export function pinned(text: string, terminal: Terminal): VerifierKey[] | undefined {
  try {
    return [parseVerifierKey(nodeCrypto.sha256, text.trim())]
  } catch (error) {
    terminal.err(
      `--key: ${printable((error as LedgerError).message)}; a key is NAME+ID+BASE64 as \`countersign-gateway ledger show-key\` prints it`,
    )
    return undefined
  }
}

/** What kept it from being looked at: nothing was found out then. */
export function couldNot(what: string, error: unknown, terminal: Terminal): 2 | typeof STOPPED {
  if (terminal.signal?.aborted) {
    terminal.err('stopped: nothing was found out')
    return STOPPED
  }
  const { code, message } = error as NodeJS.ErrnoException
  if (code === undefined) throw error
  const words: Record<string, string> = {
    ENOENT: 'there is no such file: check the path',
    EACCES: 'this user may not read it',
    EISDIR: 'that is a folder: name the bundle’s file',
  }
  terminal.err(`can't tell: ${printable(what)} can't be read: ${words[code] ?? message}`)
  return 2
}

export const share = (done: number, of: number): string =>
  of > 0 ? `${Math.min(100, Math.floor((100 * done) / of))} %` : ''

/**
 * The process's own terminal. Progress goes to standard error where that is a screen; the first Ctrl-C aborts `signal`.
 * Call `close` when done.
 */
export function processTerminal(name: string): Terminal & { close(): void } {
  const controller = new AbortController()
  const stop = () => controller.abort(new Error('stopped'))
  process.once('SIGINT', stop)
  let shown = ''
  const progress = (text: string) => {
    if (text === shown) return
    process.stderr.write(`\r${text.padEnd(shown.length)}${text === '' ? '\r' : ''}`)
    shown = text
  }
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    err: (line) => void process.stderr.write(`${name}: ${line}\n`),
    ...(process.stderr.isTTY && { progress }),
    signal: controller.signal,
    close: () => process.off('SIGINT', stop),
  }
}
