import { createWriteStream, existsSync } from 'node:fs'
import { open, rename, rm } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { fromUtf8 } from '@countersign/contract/ledger/encoding'
import { printable } from '@countersign/contract/ledger/report-text'
import { folderLog } from '@countersign/contract/node/log-folder'
import { couldNot, processTerminal, type STOPPED, type Terminal } from '@countersign/contract/node/verify-file'
import { type BundleSources, bundleBytes, bundleName, NoBundle, sessionEvidence } from '../sessions/bundles/bundles.ts'
import { signerOf } from '../sessions/bundles/signer.ts'
import { openEntries } from '../sessions/ledger/entries.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { placeOf, readRecording } from '../sessions/recording.ts'
import { placeOfData } from './command.ts'
import { snapshotOf } from './reading.ts'

/**
 * `countersign-gateway export`: the evidence bundle of a session, whether the gateway runs or not. Reads, and signs with
 * the ledger's key. Sets the exit code.
 * @param out file that is not there yet, `-` for standard output; absent: SESSION.evidence.tar here
 */
export async function exportSession(config: string, session: string, out?: string): Promise<void> {
  const terminal = processTerminal('countersign-gateway')
  try {
    process.exitCode = await exported(config, session, out, terminal)
  } finally {
    terminal.close()
  }
}

async function exported(
  config: string,
  session: string,
  out: string | undefined,
  terminal: Terminal,
): Promise<0 | 1 | 2 | typeof STOPPED> {
  if (!/^se_[a-z2-7]+$/.test(session)) {
    terminal.err(`${printable(JSON.stringify(session))} is no id of a session: they begin with se_`)
    return 2
  }
  const place = await placeOfData(config, terminal)
  if (!place) return 2
  const file = resolve(out ?? bundleName(session))
  if (out !== '-' && existsSync(file)) {
    terminal.err(`${printable(file)} is there already: name another file with --out`)
    return 2
  }
  try {
    const folder = join(place.data, 'ledger')
    const log = folderLog(folder)
    const checkpoint = await log.checkpoint()
    if (!checkpoint) throw new NoBundle('damaged', `There is no ledger in ${place.data}, or it has no checkpoint.`)
    using entries = openEntries(folder)
    const sources: BundleSources = {
      checkpoint: fromUtf8(checkpoint) ?? '',
      handovers: ((await log.handovers?.()) ?? []).map((note) => fromUtf8(note) ?? ''),
      entries,
      tile: log.tile,
      async recording(id) {
        const opened = entries.entriesOf(id, { types: ['session.opened'] }).next().value
        return opened && (await readRecording(placeOf(place.data, id, opened.at)))
      },
      policy: async (version) => policyFiles(place.data, version),
    }
    readCheckpoint(checkpoint)
    const key = await signerOf(folder)
    const content = await sessionEvidence(sources, session, { at: new Date() })
    await written(bundleBytes(content, [key]), out === '-' ? undefined : file, terminal.signal)
    if (out !== '-') terminal.out(file)
    return 0
  } catch (error) {
    if (!(error instanceof NoBundle || error instanceof LedgerStopped)) return couldNot(file, error, terminal)
    terminal.err(printable(error.message))
    return 1
  }
}

function policyFiles(data: string, version: string): { file: string; text: string }[] | undefined {
  using store = snapshotOf(join(data, 'countersign.sqlite'))
  const files = store.database.prepare('select files from policy_versions where version = ?').pluck().get(version)
  return typeof files === 'string' ? JSON.parse(files) : undefined
}

/** Under its own name only once it is whole. */
async function written(bytes: AsyncIterable<Uint8Array>, file: string | undefined, signal?: AbortSignal) {
  const options = signal ? { signal } : {}
  if (file === undefined) return pipeline(bytes, process.stdout, { ...options, end: false })
  const fresh = `${file}.part`
  try {
    await pipeline(bytes, createWriteStream(fresh, { flags: 'wx', mode: 0o600 }), options)
    await using handle = await open(fresh)
    await handle.sync()
    await rename(fresh, file)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') await rm(fresh, { force: true })
    throw error
  }
}
