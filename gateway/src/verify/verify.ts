import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { same } from '@countersign/contract/ledger/encoding'
import { type Finding, Findings, type Outcome } from '@countersign/contract/ledger/findings'
import { type LogReader, type LogReport, verifyLog } from '@countersign/contract/ledger/log-verify'
import { parseVerifierKey, type VerifierKey } from '@countersign/contract/ledger/note'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import { folderLog } from '@countersign/contract/node/log-folder'
import { checkKeys } from './keys.ts'
import { type LogMemory, LogRows, tailProblem } from './log-rows.ts'
import { checkOldTiles } from './old-tiles.ts'
import { damageOf, isDamage, isRunning, type Snapshot, snapshotOf } from './reading.ts'
import { RecordedFacts } from './recorded.ts'
import { RecordingFiles } from './recording-files.ts'
import { recordingSide } from './recording-side.ts'
import { SaidRows } from './said.ts'
import { StoreChecks } from './store-checks.ts'
import { UseChecks } from './use-checks.ts'

export interface VerifyStoreOptions {
  /** The data folder. */
  data: string
  /** Keys that somebody pinned. None: those count that the ledger itself has remembered since its first start. */
  keys: readonly VerifierKey[]
  /** Milliseconds, `approvals.max_window`. */
  maxWindow: number
  now?: Date
  signal?: AbortSignal
  onProgress?: (done: number, of: number) => void
}

export interface StoreReport extends Omit<LogReport, 'outcome'> {
  outcome: Outcome
  /** Whether a gateway was at work meanwhile. */
  live: boolean
  /** Whether the key was given by who asked, or is the one that the ledger remembers. */
  pinned: boolean
  /** Entries that no checkpoint covers yet. */
  unsigned: number
  /** Rows of the store that are older than the log: nothing vouches for them. */
  older: number
}

/** Why nothing can be said: there is nothing to look at, or it can't be read. */
export class CantVerify extends Error {
  override name = 'CantVerify'
}

/**
 * Verifies a data folder: log, payloads and recordings by the contract's verifier, and the database of record against
 * what the log says. Nothing is written. A gateway may be at work: what it does meanwhile is no fault.
 * @throws CantVerify; what the file system or `signal` throws
 */
export async function verifyStore(options: VerifyStoreOptions): Promise<StoreReport> {
  const first = await verifyOnce(options)
  // What retention took away meanwhile is missing from what was looked at, and not from what there is.
  return first.deleting && first.report.outcome !== 'whole' ? (await verifyOnce(options)).report : first.report
}

async function verifyOnce(options: VerifyStoreOptions): Promise<{ report: StoreReport; deleting: boolean }> {
  const { data } = options
  const folder = join(data, 'ledger')
  if (!existsSync(data)) throw new CantVerify(`there is no data folder ${data}: check \`data\` in the configuration`)
  const live = isRunning(data)
  const found = new Findings()
  const files = folderLog(folder)
  const moment = await takeMoment(folder, live, found)
  if (!moment)
    throw new CantVerify(
      existsSync(folder)
        ? `${folder} has neither a checkpoint nor entries: no gateway has written a ledger there`
        : `there is no ledger in ${data}: no gateway has written one there`,
    )
  using rowsAt = moment.rows
  using storeAt = openStore(data, found)
  using said = new SaidRows()
  const recorded = new RecordedFacts(said, found)
  using use = new UseChecks()
  const store =
    storeAt &&
    new StoreChecks(storeAt, said, found, { live, maxWindow: options.maxWindow, now: options.now ?? new Date() })
  const rows =
    rowsAt &&
    new LogRows(rowsAt, files.tile, found, {
      types: new Set([...(store?.types ?? []), ...use.types]),
      entry(entry) {
        if (entry.type === 'command') recorded.command(entry)
        if (entry.type === 'session.closed' || entry.type === 'session.interrupted') recorded.end(entry)
        if (use.types.has(entry.type)) use.entry(entry)
        store?.entry(entry)
      },
      erased(session, type) {
        recorded.erased(session, type)
        store?.erased(session, type)
      },
    })
  await using recordings = new RecordingFiles(data, found, (session, bytes) => recorded.bytes(session, bytes))
  await recordings.look()

  // Later than the store: whatever that has, and the rows lack, is in here, or waits in the outbox.
  using after = live && rowsAt ? snapshotOf(join(folder, 'entries.sqlite')) : undefined
  const memory = rows?.memory() ?? nothing
  const trusted = options.keys.length > 0 ? options.keys : rememberedKey(memory)
  const kept = rows?.count() ?? 0
  const size = sizeOf(moment.checkpoint)
  const reader: LogReader = {
    ...files,
    checkpoint: async () => moment.checkpoint,
    ...(rows && !live && { entries: async () => kept }),
    ...(rows && { payloads: () => rows.payloads(size) }),
    // Without what entries say, no recording can be held against anything.
    ...(rows && {
      recordings: recordingSide({
        files: recordings,
        facts: recorded,
        said,
        found,
        live,
        removing: isRemoving(storeAt),
      }),
    }),
  }
  const { signal, onProgress } = options
  const log = await verifyLog(nodeCrypto, reader, {
    keys: trusted,
    seen: seenIn(memory, found),
    open: new Set([...openIn(storeAt), ...(after ? endedSince(after, size) : [])]),
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  })
  rows?.rest(size)
  if (rowsAt) use.compare(rowsAt.database, live, found)
  let deleting = false
  if (store && rows) {
    store.outbox(memory.outbox, (at, type, payload) => isLogged(rowsAt!, at, type, payload))
    if (after) {
      store.later()
      const younger = new LogRows(after, files.tile, found, {
        types: store.types,
        entry: (entry) => store.entry(entry),
        erased() {},
      })
      younger.rest(kept)
      deleting = younger.has('deletion.run', size)
    }
    store.compare()
  }
  for (const tail of rows?.tails() ?? []) {
    const problem = await tailProblem(tail, recordings)
    const row = `tails/${tail.session}`
    if (problem) found.wrong('tail', { row, recording: tail.session }, `row ${row} was changed: it ${problem}`)
  }
  await checkOldTiles(folder, { size, kept: live ? undefined : Math.max(kept, size), read: files.tile }, found)
  if (rows) await checkKeys({ folder, crypto: nodeCrypto, memory, pinned: options.keys, found })
  const unsigned = Math.max(0, kept - size)
  const more = { live, pinned: options.keys.length > 0, unsigned, older: store?.older ?? 0 }
  return { report: merged(log, found, more), deleting }
}

const nothing: LogMemory = { keys: [], handovers: [], signed: undefined, erasing: [], outbox: 0 }

interface Moment {
  checkpoint: Uint8Array | undefined
  rows: Snapshot | undefined
}

/**
 * A checkpoint, and the rows as they were not long after. While the gateway works, entries may have been erased by a
 * deletion that no checkpoint covers yet: such a moment is let pass.
 */
async function takeMoment(folder: string, live: boolean, found: Findings): Promise<Moment | undefined> {
  const file = join(folder, 'entries.sqlite')
  for (let tries = 0; ; tries++) {
    const checkpoint = await folderLog(folder).checkpoint()
    if (!existsSync(file)) {
      if (!checkpoint) return undefined
      found.missing(
        'entries-gone',
        { row: 'entries.sqlite' },
        'ledger/entries.sqlite is not there: what entries say is lost',
      )
      return { checkpoint, rows: undefined }
    }
    let rows: Snapshot
    try {
      rows = snapshotOf(file)
      sound(rows, 'ledger/entries.sqlite', 'entries-damaged', found)
    } catch (error) {
      if (!isDamage(error)) throw error
      found.wrong(
        'entries-damaged',
        { row: 'entries.sqlite' },
        `ledger/entries.sqlite can't be read: SQLite says "${error.message}"`,
      )
      return { checkpoint, rows: undefined }
    }
    const size = sizeOf(checkpoint)
    const look = new LogRows(rows, folderLog(folder).tile, new Findings(), {
      types: new Set(),
      entry() {},
      erased() {},
    })
    if (!live || tries >= 20 || !look.has('deletion.run', size)) return { checkpoint, rows }
    rows[Symbol.dispose]()
    await new Promise((resolve) => setTimeout(resolve, 250))
  }
}

/** Undefined, and said so, where it can't be read at all. */
function openStore(data: string, found: Findings): Snapshot | undefined {
  const file = join(data, 'countersign.sqlite')
  if (!existsSync(file)) {
    found.missing(
      'store-gone',
      { row: 'countersign.sqlite' },
      'countersign.sqlite is not there: sessions, approvals and decisions are lost',
    )
    return undefined
  }
  try {
    const snapshot = snapshotOf(file)
    sound(snapshot, 'countersign.sqlite', 'store-damaged', found)
    return snapshot
  } catch (error) {
    if (!isDamage(error)) throw error
    found.wrong(
      'store-damaged',
      { row: 'countersign.sqlite' },
      `countersign.sqlite can't be read: SQLite says "${error.message}"`,
    )
    return undefined
  }
}

function sound(snapshot: Snapshot, file: string, code: string, found: Findings): void {
  for (const problem of damageOf(snapshot))
    found.wrong(code, { row: file }, `${file} is damaged: SQLite says "${problem}"`)
}

/** Sessions of which the store says that the log has not all. Of one of which it has all, it knows better. */
const openIn = (store: Snapshot | undefined): string[] =>
  asked(store, 'select id from sessions where in_ledger = 0').map(String)

/** Sessions that have ended since the checkpoint. */
const endedSince = (entries: Snapshot, size: number): string[] =>
  asked(
    entries,
    "select session from entries where type in ('session.closed', 'session.interrupted') and n >= ?",
    size,
  ).map(String)

/** Whether a retention run has still to remove what its entry names. */
const isRemoving = (store: Snapshot | undefined): boolean =>
  asked(store, "select 1 from retention_runs where state != 'done' limit 1").length > 0

/** The first column of what a statement answers; nothing where the database is damaged, or older: that is told elsewhere. */
function asked(snapshot: Snapshot | undefined, sql: string, ...values: unknown[]): unknown[] {
  if (!snapshot) return []
  try {
    return snapshot.database
      .prepare(sql)
      .pluck()
      .all(...values)
  } catch (error) {
    if (!isDamage(error)) throw error
    return []
  }
}

function rememberedKey({ keys }: LogMemory): VerifierKey[] {
  try {
    return keys.slice(0, 1).map((key) => parseVerifierKey(nodeCrypto.sha256, key))
  } catch {
    return []
  }
}

/** The newest checkpoint that the log itself remembers to have signed: its file may not be an older one. */
function seenIn({ signed }: LogMemory, found: Findings): string[] {
  if (signed === undefined) return []
  try {
    readCheckpoint(signed)
    return [signed]
  } catch (error) {
    found.wrong('meta', { row: 'meta/log.signed' }, `row meta/log.signed was changed: ${(error as Error).message}`)
    return []
  }
}

function sizeOf(note: Uint8Array | undefined): number {
  try {
    return note ? readCheckpoint(note).size : 0
  } catch {
    return 0
  }
}

/** Asked for the few rows of the outbox that a crash left behind. */
function isLogged(rows: Snapshot, at: string, type: string, payload: string): boolean {
  const wanted = Buffer.from(payload)
  const found = asked(rows, 'select payload from entries where at = ? and type = ?', at, type)
  return found.some((one) => one === null || (one instanceof Uint8Array && same(one, wanted)))
}

/** One report of both. Of a recording that is not what was logged nothing is believed. */
function merged(
  log: LogReport,
  found: Findings,
  more: Pick<StoreReport, 'live' | 'pinned' | 'unsigned' | 'older'>,
): StoreReport {
  const changed = new Set(
    log.findings.flatMap(({ about, where }) => (about === 'integrity' && where.recording ? [where.recording] : [])),
  )
  const own = found.kept.filter(({ code, where }) => code !== 'row-changed' || !changed.has(where.recording ?? ''))
  const dropped = found.kept.length - own.length
  // What can't be read, or isn't there, is why other things are not as they should be.
  const isCause = ({ code }: Finding) => /^(entries|store)-(damaged|gone)$/.test(code)
  const damage = own.filter(isCause)
  const rest = own.filter((one) => !isCause(one))
  const counts = {
    integrity: log.counts.integrity + found.integrity - dropped,
    completeness: log.counts.completeness + found.completeness,
  }
  const trusted = log.signedBy.length > 0
  const outcome: Outcome =
    counts.integrity > 0 ? 'broken' : !trusted ? 'cant-tell' : counts.completeness > 0 ? 'incomplete' : 'whole'
  return {
    ...log,
    ...more,
    outcome,
    integrity: counts.integrity > 0 ? 'broken' : 'whole',
    completeness: counts.completeness > 0 ? 'incomplete' : 'complete',
    findings: [...damage, ...log.findings, ...rest],
    counts,
  }
}
