import { type Checkpoint, readCheckpoint } from './checkpoint.ts'
import { same } from './encoding.ts'
import { type Leaf, parseLeaf } from './entry.ts'
import type { LedgerError } from './errors.ts'
import { type Finding, Findings, type Outcome } from './findings.ts'
import { claimedSigners, KeyChain } from './key-chain.ts'
import { leafHash } from './merkle.ts'
import { keyLabel, openNote, type VerifierKey } from './note.ts'
import { PayloadChecks, type PayloadRow } from './payload-verify.ts'
import type { LedgerCrypto } from './ports.ts'
import { RecordingChecks, type RecordingReader } from './recordings-verify.ts'
import { TileChecks } from './tile-verify.ts'
import { decodeEntries, hashAt, TILE_WIDTH, type TileReader, tilePath } from './tiles.ts'

/** A log as it is kept: files, tables, or over HTTP. */
export interface LogReader {
  /** The newest signed checkpoint. */
  checkpoint(): Promise<Uint8Array | undefined>
  /** Signed checkpoints by which keys were handed over (key-chain.ts). */
  handovers?(): Promise<readonly Uint8Array[]>
  tile: TileReader
  /** How many entries are kept, the ones after the checkpoint among them. */
  entries?(): Promise<number>
  /** Payloads and salts in batches, by rising entry number. */
  payloads?(): AsyncIterable<readonly PayloadRow[]>
  recordings?: RecordingReader
}

export interface VerifyLogOptions {
  /** Keys that the caller has from elsewhere than the log. None: the best answer is `cant-tell`. */
  keys: readonly VerifierKey[]
  /** Signed checkpoints of this log seen before (a witness's, a bundle's): it must not have forked or rolled back. */
  seen?: readonly (Uint8Array | string)[]
  /** Sessions that are open now: their recordings may be ahead of the log. */
  open?: ReadonlySet<string>
  signal?: AbortSignal
  onProgress?: (done: number, of: number) => void
}

export interface LogReport {
  outcome: Outcome
  integrity: 'whole' | 'broken'
  completeness: 'complete' | 'incomplete'
  /** The first hundred of each kind, in the order in which they were met. */
  findings: Finding[]
  counts: { integrity: number; completeness: number }
  checkpoint?: Checkpoint
  /** Keys that signed the checkpoint and are trusted, and witnesses that cosigned it. */
  signedBy: string[]
  cosignedBy: string[]
  entries: number
  /** Entries whose payload is erased, with a deletion entry that says so. */
  erased: number
  erasedRecordings: number
  /** Bytes of recordings that were compared with the log. */
  recordingBytes: number
}

/**
 * Verifies a whole log in one pass: entries against tiles, tiles against the checkpoint, its signature, payloads against
 * their commitments, recordings against their chunks. Memory does not grow with the number of entries.
 * What a reader rejects with is passed on: a disk that can't be read proves nothing.
 */
export async function verifyLog(crypto: LedgerCrypto, log: LogReader, options: VerifyLogOptions): Promise<LogReport> {
  const found = new Findings()
  const chain = new KeyChain(crypto, options.keys)
  const recordings = log.recordings && new RecordingChecks(crypto, log.recordings, found)
  const payloads = new PayloadChecks(crypto, log.payloads?.(), recordings, found)
  const note = await log.checkpoint()
  const checkpoint = note && readable(note, found)
  let reached = 0
  let report: Pick<LogReport, 'signedBy' | 'cosignedBy'> = { signedBy: [], cosignedBy: [] }
  if (!note)
    found.wrong('no-checkpoint', {}, 'the log has no checkpoint: nothing says how long it was, and what was in it')
  if (checkpoint) {
    const forged = wrongSignature(crypto, note!, options.keys)
    if (forged) found.wrong('signature', {}, `the checkpoint was changed: ${forged}`)
    const known = await knownHeads(checkpoint, log, options.seen ?? [], found)
    reached = await verifyEntries(crypto, log, checkpoint, { found, payloads, known, options })
    // The newest checkpoint may be a handover itself, whose file of its own is yet to be written.
    const handovers = [...known.handovers, new TextDecoder().decode(note)]
    for (const { entry, payload } of payloads.rotations) {
      const problem = chain.rotate(entry, payload, handovers)
      if (problem) found.wrong('key-rotation', { entry }, problem)
    }
    if (!forged) report = verifySignature(chain, note!, found)
  }
  const { erased } = await payloads.finish(reached, checkpoint?.size ?? 0)
  const erasedRecordings = (await recordings?.finish(payloads.erasedRecordings, options.open ?? new Set())) ?? 0
  return {
    outcome: found.outcome(report.signedBy.length > 0),
    integrity: found.integrity > 0 ? 'broken' : 'whole',
    completeness: found.completeness > 0 ? 'incomplete' : 'complete',
    findings: found.kept,
    counts: { integrity: found.integrity, completeness: found.completeness },
    ...(checkpoint && { checkpoint }),
    ...report,
    entries: checkpoint?.size ?? 0,
    erased,
    erasedRecordings,
    recordingBytes: recordings?.bytes ?? 0,
  }
}

function readable(note: Uint8Array, found: Findings): Checkpoint | undefined {
  try {
    return readCheckpoint(note)
  } catch (error) {
    found.wrong('checkpoint-form', {}, `the checkpoint can't be read: ${(error as Error).message}`)
    return undefined
  }
}

/** What a pinned key alone can say before the log was read: so that a changed checkpoint is the first thing named. */
function wrongSignature(crypto: LedgerCrypto, note: Uint8Array, keys: readonly VerifierKey[]): string | undefined {
  try {
    openNote(crypto, note, keys)
  } catch (error) {
    if ((error as LedgerError).code === 'bad-signature') return (error as Error).message
  }
  return undefined
}

function verifySignature(chain: KeyChain, note: Uint8Array, found: Findings) {
  if (chain.empty) return { signedBy: [], cosignedBy: [] }
  try {
    const { signed, cosigned } = chain.open(note)
    return { signedBy: signed.map(({ key }) => keyLabel(key)), cosignedBy: cosigned.map(({ key }) => keyLabel(key)) }
  } catch (error) {
    found.wrong('signature', {}, `the checkpoint is not one by a key that you trust: ${(error as Error).message}`)
    return { signedBy: [], cosignedBy: [] }
  }
}

/** Heads that this log must have gone through, by size. */
interface KnownHeads {
  bySize: Map<number, { root: Uint8Array; code: string; what: string; note: string }[]>
  /** Handover notes whose root the log had. */
  handovers: string[]
}

async function knownHeads(
  current: Checkpoint,
  log: LogReader,
  seen: readonly (Uint8Array | string)[],
  found: Findings,
): Promise<KnownHeads> {
  const known: KnownHeads = { bySize: new Map(), handovers: [] }
  const add = (note: Uint8Array | string, code: 'forked' | 'handover', what: string) => {
    let head: Checkpoint
    try {
      head = readCheckpoint(note)
    } catch (error) {
      found.wrong('checkpoint-form', {}, `${what} can't be read: ${(error as Error).message}`)
      return
    }
    if (head.origin !== current.origin)
      found.wrong('origin', {}, `${what} is one of ${head.origin}, this log is ${current.origin}`)
    else if (head.size > current.size)
      found.wrong(
        'rolled-back',
        { entry: current.size },
        `the log was rolled back: ${what} has ${head.size} entries, the log ends before entry ${current.size}`,
      )
    else {
      const text = typeof note === 'string' ? note : new TextDecoder().decode(note)
      known.bySize.set(head.size, [...(known.bySize.get(head.size) ?? []), { root: head.root, code, what, note: text }])
    }
  }
  for (const note of seen)
    add(note, 'forked', `a checkpoint that was seen before (signed by ${claimedSigners(note).join(', ')})`)
  for (const note of (await log.handovers?.()) ?? [])
    add(note, 'handover', 'a checkpoint by which a key was handed over')
  return known
}

interface Pass {
  found: Findings
  payloads: PayloadChecks
  known: KnownHeads
  options: VerifyLogOptions
}

/** So many bundles lost in a row, entries and hashes, are the end of what there is. */
const MAX_LOST = 100

/** Answers up to which entry it came. */
async function verifyEntries(
  crypto: LedgerCrypto,
  log: LogReader,
  checkpoint: Checkpoint,
  pass: Pass,
): Promise<number> {
  const { found, payloads, known, options } = pass
  const { size } = checkpoint
  const tiles = new TileChecks(crypto.sha256, log.tile, size, found)
  const kept = await log.entries?.()
  if (kept !== undefined && kept > size)
    found.missing(
      'unsigned-tail',
      { entry: size },
      `entries ${size} to ${kept - 1} are not covered by a checkpoint yet`,
    )
  let drift = 0
  let lost = 0
  let reached = size
  const heads = () => {
    for (const head of known.bySize.get(tiles.reached) ?? []) {
      if (tiles.hasRoot(head.root)) {
        if (head.code === 'handover') known.handovers.push(head.note)
      } else
        found.wrong(
          head.code,
          { entry: tiles.reached },
          `the log is not the one of ${head.what}: its first ${tiles.reached} entries have another root`,
        )
    }
  }
  heads()
  for (let first = 0; first < size; first += TILE_WIDTH) {
    options.signal?.throwIfAborted()
    const width = Math.min(TILE_WIDTH, size - first)
    const tile = { kind: 'entries', index: first / TILE_WIDTH, width } as const
    const entries = await readEntries(log.tile, tile, found)
    const hashes = await tiles.leaves(tile.index, width)
    lost = entries.length === 0 && !hashes ? lost + 1 : 0
    if (lost > MAX_LOST) {
      // A checkpoint may claim any size: a log that is cut off there is not looked for bundle by bundle.
      tiles.give()
      reached = first
      break
    }
    for (let i = 0; i < width; i++) {
      const index = first + i
      const entry = entries[i]
      const stored = hashes && hashAt(hashes, i)
      const hash = entry && leafHash(crypto.sha256, entry)
      const differs = hash !== undefined && stored !== undefined && !same(hash, stored)
      if (differs) tiles.diverge(index)
      if (!hash && !stored) {
        // Neither entry nor hash: no root can be had any more, and both were reported.
        tiles.give()
      } else tiles.append(hash ?? stored!, stored ?? hash!)
      if (known.bySize.size > 0 && !tiles.given) heads()
      const leaf = entry && !differs ? parseLeaf(entry) : undefined
      if (entry && !differs && !leaf)
        found.wrong(
          'leaf-form',
          { tile: tilePath(tile), entry: index },
          `entry ${index} is no audit entry: it is not in the form that docs/formats.md gives`,
        )
      if (leaf && leaf.n - index !== drift) {
        drift = leaf.n - index
        found.wrong('entry-number', { tile: tilePath(tile), entry: index }, numberText(leaf, index))
      }
      const pending = payloads.entry(index, leaf)
      if (pending) await pending
    }
    await tiles.upwards()
    options.onProgress?.(first + width, size)
  }
  await tiles.finish(checkpoint)
  return reached
}

const numberText = (leaf: Leaf, index: number) =>
  `entry ${index} says that it is entry ${leaf.n}: ${leaf.n > index ? 'one before it was dropped' : 'one before it was added'}, or they were put in another order`

async function readEntries(
  read: TileReader,
  tile: { kind: 'entries'; index: number; width: number },
  found: Findings,
): Promise<Uint8Array[]> {
  const path = tilePath(tile)
  const first = tile.index * TILE_WIDTH
  let bytes = await read(tile)
  let grown = false
  if (!bytes && tile.width < TILE_WIDTH) {
    // A partial tile may go once its full one is there (C2SP tlog-tiles, "Partial Tiles").
    bytes = await read({ ...tile, width: TILE_WIDTH })
    grown = bytes !== undefined
  }
  const last = first + tile.width - 1
  if (!bytes) {
    found.missing(
      'entries-missing',
      { tile: path, entry: first },
      `${path} is not there: entries ${first} to ${last} are lost`,
    )
    return []
  }
  const { entries, whole } = decodeEntries(bytes, tile.width)
  if (entries.length < tile.width)
    found.missing(
      'entries-cut',
      { tile: path, entry: first + entries.length },
      `${path} ends in the middle: entries ${first + entries.length} to ${last} are lost`,
    )
  else if (!whole && !grown)
    found.wrong('entries-longer', { tile: path, entry: last }, `${path} goes on after its last entry, ${last}`)
  return entries
}
