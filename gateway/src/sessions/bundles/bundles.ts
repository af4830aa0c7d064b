import { join } from 'node:path'
import type { PersonRef } from '@countersign/contract/identity'
import {
  type BundleContent,
  type BundleEntry,
  type BundleRecording,
  writeBundle,
} from '@countersign/contract/ledger/bundle'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { payloadValue } from '@countersign/contract/ledger/entry'
import { consistencyProof, type HashReader, inclusionProof } from '@countersign/contract/ledger/merkle'
import type { SignerKey } from '@countersign/contract/ledger/note'
import { isMemberName } from '@countersign/contract/ledger/tar'
import { decodeEntries, hashReader, TILE_WIDTH, type TileReader } from '@countersign/contract/ledger/tiles'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import type { Entries } from '../ledger/entries.ts'
import type { EntryRow } from '../ledger/rows.ts'

/** Where a bundle's parts come from. All of them are only read. */
export interface BundleSources {
  /** The newest signed checkpoint: nothing younger is in the bundle. */
  checkpoint: string
  /** Signed checkpoints by which keys were handed over. */
  handovers: readonly string[]
  entries: Pick<Entries, 'entry' | 'entriesOf' | 'byType'>
  tile: TileReader
  /** A session's recording from its beginning; undefined where there is none. */
  recording(session: string): Promise<AsyncIterable<Uint8Array> | undefined>
  /** The files of a policy version, undefined where they aren't known. */
  policy(version: string): Promise<readonly { file: string; text: string }[] | undefined>
}

/** Why a session has no bundle, with a sentence that says what to do. */
export class NoBundle extends Error {
  override name = 'NoBundle'
  readonly code: 'unknown-session' | 'unknown-campaign' | 'not-started' | 'too-large' | 'damaged'
  constructor(code: NoBundle['code'], message: string) {
    super(message)
    this.code = code
  }
}

/** A manifest names every entry three times, and is read at once by who verifies. */
const MOST_ENTRIES = 60_000

/**
 * All that shows what happened in a session: its entries with their proofs, what they need to be judged (the policy in
 * force, keys that were replaced, deletions), the recording as far as it is in the log, people and their decisions.
 * @throws NoBundle
 */
export async function sessionEvidence(
  sources: BundleSources,
  session: string,
  made: { at: Date; by?: PersonRef },
): Promise<BundleContent> {
  const { checkpoint, entries } = sources
  const { size, origin } = readCheckpoint(checkpoint)
  const rows = entriesFor(sources, session, size)
  const spoken = new Map(rows.flatMap((row) => (row.payload ? [[row.n, payloadValue(row.payload)] as const] : [])))
  const said = <T>(row: EntryRow) => spoken.get(row.n) as T | undefined

  const opened = rows.find(({ type, session: of }) => type === 'session.opened' && of === session)
  const policy = await policyInForce(sources, opened && said<{ policy?: string }>(opened)?.policy, opened?.n ?? 0, size)
  if (policy.entry && !rows.some(({ n }) => n === policy.entry!.n)) rows.push(policy.entry)
  const deletions = deletionsOf(entries, size)
  const explained = new Set<number>()
  for (const row of rows) if (!row.payload) explained.add(erasedBy(deletions, row.n))
  const recording = recordingOf(sources, session, { rows, said, deletions })
  if (recording.erasedBy !== undefined) explained.add(recording.erasedBy)
  for (const n of explained) if (!rows.some((row) => row.n === n)) rows.push(entryAt(entries, n))
  rows.sort((a, b) => a.n - b.n)
  if (rows.length > MOST_ENTRIES)
    throw new NoBundle(
      'too-large',
      `Session ${session} has ${rows.length} entries, more than the ${MOST_ENTRIES} that one bundle takes: verify the whole ledger instead (countersign-gateway verify --config).`,
    )

  const read = remembered(hashReader(nodeCrypto.sha256, size, sources.tile))
  const leaves = leavesOf(sources.tile, size)
  const proven: BundleEntry[] = []
  for (const row of rows)
    proven.push({
      n: row.n,
      type: row.type,
      leaf: await leaves(row.n),
      ...(row.payload && row.salt
        ? { opened: { payload: row.payload, salt: row.salt } }
        : { erasedBy: erasedBy(deletions, row.n) }),
      proof: await inclusionProof(nodeCrypto.sha256, row.n, size, read),
    })
  const earlier = []
  for (const note of [...sources.handovers].filter((one) => readCheckpoint(one).origin === origin).sort(bySize)) {
    const from = readCheckpoint(note).size
    if (from > 0 && from < size)
      earlier.push({ checkpoint: note, proof: await consistencyProof(nodeCrypto.sha256, from, size, read) })
  }
  const decisions = decisionsOf(rows, said)
  return {
    about: { kind: 'session', session },
    madeAt: made.at,
    ...(made.by && { madeBy: refOf(made.by) }),
    checkpoint,
    entries: proven,
    recordings: [recording],
    earlier,
    ...(policy.files && { policy: policy.files }),
    people: decisions.people,
    decisions: decisions.list,
  }
}

/** The bundle itself. `keys` sign the log now. */
export const bundleBytes = (content: BundleContent, keys: readonly SignerKey[]): AsyncGenerator<Uint8Array> =>
  writeBundle(nodeCrypto, content, keys)

/** What a bundle is saved as. */
export const bundleName = (session: string): string => `${session}.evidence.tar`

/** The session's own, and what every reader needs: keys that were replaced. */
function entriesFor({ entries }: BundleSources, session: string, size: number): EntryRow[] {
  const rows: EntryRow[] = []
  for (const row of entries.entriesOf(session)) {
    if (row.n >= size) break
    rows.push(row)
    // One more than may be is enough to be told so.
    if (rows.length > MOST_ENTRIES) break
  }
  if (rows.length === 0)
    throw new NoBundle(
      'unknown-session',
      `The ledger has no entry of session ${session} that a checkpoint covers: check the id; of a session that has just begun, try again in a second.`,
    )
  for (const row of entries.byType('key.rotated')) if (row.n < size) rows.push(row)
  return rows
}

export function entryAt(entries: BundleSources['entries'], n: number): EntryRow {
  const row = entries.entry(n)
  if (!row) throw damaged(`entry ${n} is not in entries.sqlite`)
  return row
}

/** The entry by which a policy version was last put in force before entry `before`, and its files where all of them can be in a bundle. */
async function policyInForce(sources: BundleSources, version: string | undefined, before: number, size: number) {
  if (version === undefined) return {}
  let entry: EntryRow | undefined
  for (const row of sources.entries.byType('policy.changed')) {
    if (row.n >= size || (row.n > before && entry)) break
    const said = row.payload && (payloadValue(row.payload) as { version?: string } | undefined)
    if (said?.version === version) entry = row
  }
  const files = entry && (await sources.policy(version))
  // A name that an archive can't have would make the whole bundle unreadable; the entry still has the file's hash.
  if (!entry || !files?.every(({ file }) => isMemberName(join('policy', file)))) return { entry }
  const encoder = new TextEncoder()
  return {
    entry,
    files: { version, files: files.map(({ file, text }) => ({ path: file, bytes: encoder.encode(text) })) },
  }
}

export interface Deletion {
  n: number
  entries: [number, number][]
  recordings: string[]
}

export function deletionsOf(entries: BundleSources['entries'], size: number): Deletion[] {
  const deletions: Deletion[] = []
  for (const { n, payload } of entries.byType('deletion.run')) {
    if (n >= size) break
    const said = payload && (payloadValue(payload) as Partial<Deletion> | undefined)
    if (said) deletions.push({ n, entries: said.entries ?? [], recordings: said.recordings ?? [] })
  }
  return deletions
}

export function erasedBy(deletions: readonly Deletion[], n: number): number {
  const found = deletions.find((one) => one.n > n && one.entries.some(([first, last]) => first <= n && n <= last))
  if (!found) throw damaged(`the payload of entry ${n} is not there, and no deletion entry says so`)
  return found.n
}

export function recordingOf(
  sources: BundleSources,
  session: string,
  known: { rows: readonly EntryRow[]; said: <T>(row: EntryRow) => T | undefined; deletions: readonly Deletion[] },
): BundleRecording {
  const gone = known.deletions.find(({ recordings }) => recordings.includes(session))
  if (gone) return { session, erasedBy: gone.n }
  const ended = known.rows.some(
    ({ type, session: of }) => of === session && (type === 'session.closed' || type === 'session.interrupted'),
  )
  let bytes = 0
  for (const row of known.rows) {
    const chunk = row.type === 'recording.chunk' ? known.said<{ offset: number; length: number }>(row) : undefined
    if (chunk) bytes = Math.max(bytes, chunk.offset + chunk.length)
  }
  return {
    session,
    async *open() {
      const stream = await sources.recording(session)
      if (!stream) throw damaged(`the recording of session ${session} is not there`)
      // What is after the last chunk is in no entry yet. Of one that has ended nothing is: then it shows what is too much.
      yield* ended ? stream : upTo(stream, bytes)
    },
    ...(!ended && { stillOpen: true }),
  }
}

async function* upTo(stream: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let left = bytes
  if (left === 0) return
  for await (const chunk of stream) {
    const part = chunk.subarray(0, left)
    left -= part.length
    yield part
    if (left === 0) return
  }
}

/** Proofs of a session's entries share most of their hashes. */
export function remembered(read: HashReader): HashReader {
  const known = new Map<string, Promise<Uint8Array>>()
  return (level, index) => {
    const place = `${level}/${index}`
    let hash = known.get(place)
    if (!hash) {
      hash = read(level, index)
      known.set(place, hash)
    }
    return hash
  }
}

/** Leaves as the log has them; one tile is kept, since those of a session are near each other. */
export function leavesOf(tile: TileReader, size: number): (n: number) => Promise<Uint8Array> {
  let kept: { index: number; entries: Uint8Array[] } | undefined
  return async (n) => {
    const index = Math.floor(n / TILE_WIDTH)
    if (kept?.index !== index) {
      const width = Math.min(TILE_WIDTH, size - index * TILE_WIDTH)
      const bytes =
        (await tile({ kind: 'entries', index, width })) ?? (await tile({ kind: 'entries', index, width: TILE_WIDTH }))
      kept = { index, entries: bytes ? decodeEntries(bytes, width).entries : [] }
    }
    const leaf = kept.entries[n % TILE_WIDTH]
    if (!leaf) throw damaged(`entry ${n} is not in its tile`)
    return leaf
  }
}

interface DecidedPayload {
  approval: string
  person: PersonRef
  verdict: 'approve' | 'deny'
  reason: string
}

function decisionsOf(rows: readonly EntryRow[], said: <T>(row: EntryRow) => T | undefined) {
  const people = new Map<string, PersonRef>()
  const list: BundleContent['decisions'] = []
  for (const row of rows) {
    const decided = row.type === 'approval.decided' ? said<DecidedPayload>(row) : undefined
    if (!decided) continue
    const { approval, person, verdict, reason } = decided
    people.set(person.id, refOf(person))
    list.push({ entry: row.n, approval, person: person.id, verdict, reason, at: row.at })
  }
  return { people: [...people.values()], list }
}

const refOf = ({ id, issuer, subject, name }: PersonRef): PersonRef => ({ id, issuer, subject, name })

const bySize = (a: string, b: string) => readCheckpoint(a).size - readCheckpoint(b).size

export const damaged = (what: string) =>
  new NoBundle(
    'damaged',
    `The ledger is damaged: ${what}. Let \`countersign-gateway verify --config\` say what else is, before a bundle is made of it.`,
  )
