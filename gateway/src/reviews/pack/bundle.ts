import { hash } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { canonical } from '@countersign/contract/canonical'
import type { PersonRef } from '@countersign/contract/identity'
import type { BundleDocument, BundleRecording, LargeContent, Manifest } from '@countersign/contract/ledger/bundle'
import { personOf } from '@countersign/contract/ledger/campaign-facts'
import {
  csvHead,
  csvName,
  evidenceName,
  headName,
  itemName,
  policyTextName,
  reportName,
} from '@countersign/contract/ledger/campaign-pack'
import { readCheckpoint } from '@countersign/contract/ledger/checkpoint'
import { payloadValue } from '@countersign/contract/ledger/entry'
import { consistencyProof, inclusionProof } from '@countersign/contract/ledger/merkle'
import { hashReader } from '@countersign/contract/ledger/tiles'
import { nodeCrypto } from '@countersign/contract/node/ledger-crypto'
import {
  type BundleSources,
  deletionsOf,
  entryAt,
  erasedBy,
  leavesOf,
  NoBundle,
  recordingOf,
  remembered,
} from '../../sessions/bundles/bundles.ts'
import type { EntryRow } from '../../sessions/ledger/rows.ts'
import { type PackReading, type PackSummary, summaryOf } from './read.ts'

/** A manifest names every entry three times, and is read at once by who verifies. */
const MOST_ENTRIES = 100_000
const MOST_SESSIONS = 500
/** So many entries are read and proven between two turns of the event loop. */
const LOADS = 16

export interface PackMade {
  at: Date
  by: PersonRef
  /** The entry pack.made. */
  entry: number
  /** Also the recordings of sessions of which commands are cited. */
  recordings: boolean
}

/**
 * All that shows what came of a campaign: its entries with their proofs and what they need to be judged, the evidence
 * documents, policy before and after, and the documents that follow from these.
 * @throws NoBundle
 */
export async function campaignEvidence(
  sources: BundleSources,
  reading: PackReading,
  made: PackMade,
  report: (summary: PackSummary, policies: readonly PackPolicy[]) => AsyncIterable<string>,
): Promise<{ content: LargeContent; summary: PackSummary; policies: readonly PackPolicy[] }> {
  const { checkpoint, entries } = sources
  const { size, origin } = readCheckpoint(checkpoint)
  const deletions = deletionsOf(entries, size)
  const taken = new Map<number, { type: string; erasedBy?: number }>()
  const take = (row: EntryRow) => {
    if (taken.has(row.n)) return
    if (row.payload) {
      taken.set(row.n, { type: row.type })
      return
    }
    const by = erasedBy(deletions, row.n)
    taken.set(row.n, { type: row.type, erasedBy: by })
    take(entryAt(entries, by))
  }
  for (const n of reading.entries) take(entryAt(entries, n))
  for (const row of entries.byType('key.rotated')) if (row.n < size) take(row)
  const policies = await policiesOf(sources, reading, size)
  for (const row of policies.rows) take(row)

  const summary = await summaryOf(reading, ({ session, command, entry }) => {
    if (entry === undefined || entry >= size) return 'unknown'
    const row = entries.entry(entry)
    if (row?.type !== 'command' || row.session !== session) return 'left-out'
    const said = row.payload && (payloadValue(row.payload) as { command?: string } | undefined)
    if (said && said.command !== command) return 'left-out'
    if (!taken.has(entry) && taken.size >= MOST_ENTRIES) return 'left-out'
    take(row)
    return row.payload ? 'taken' : 'erased'
  })
  const recordings = made.recordings ? recordingsOf(sources, summary.cited, size, deletions, take) : []
  for (const { erasedBy } of recordings) if (erasedBy !== undefined) take(entryAt(entries, erasedBy))
  if (taken.size > MOST_ENTRIES + reading.entries.length)
    throw new NoBundle(
      'too-large',
      `The recordings of this campaign’s cited sessions have more entries than the ${MOST_ENTRIES} that one bundle takes: ask for the pack without them, and for bundles of single sessions.`,
    )

  const read = remembered(hashReader(nodeCrypto.sha256, size, sources.tile))
  const leaves = leavesOf(sources.tile, size)
  const earlier = []
  for (const note of [...sources.handovers].sort((a, b) => readCheckpoint(a).size - readCheckpoint(b).size)) {
    const from = readCheckpoint(note)
    if (from.origin === origin && from.size > 0 && from.size < size)
      earlier.push({ checkpoint: note, proof: await consistencyProof(nodeCrypto.sha256, from.size, size, read) })
  }
  let loads = 0
  const content: LargeContent = {
    about: {
      kind: 'campaign',
      campaign: reading.facts.campaign,
      sessions: recordings.map(({ session }) => session),
      made: made.entry,
    },
    madeAt: made.at,
    madeBy: personOf(made.by),
    checkpoint,
    entries: [...taken]
      .sort(([a], [b]) => a - b)
      .map(([n, { type, erasedBy }]) => ({ n, type, ...(erasedBy !== undefined && { erasedBy }) })),
    async load(n) {
      // All of it is at hand, mostly: without a turn now and then nobody else would have one.
      if (++loads % LOADS === 0) await turn()
      const { payload, salt } = entryAt(entries, n)
      return {
        leaf: await leaves(n),
        ...(payload && salt && { opened: { payload, salt } }),
        proof: await inclusionProof(nodeCrypto.sha256, n, size, read),
      }
    },
    earlier,
    recordings,
    policies: policies.sets.map(({ version, entry, files }) => ({ version, entry, files })),
    texts: textsOf(policies.sets),
    items: reading.order.map((item) => ({ item, evidence: summary.evidence.get(item) === true })),
    documents: () => documentsOf(reading, summary, () => report(summary, policies.sets)),
    people: peopleOf(reading),
    decisions: [],
  }
  return { content, summary, policies: policies.sets }
}

/** Documents that follow from the entries, in their order: evidence and item of each, then what is said of all. */
function* documentsOf(
  reading: PackReading,
  summary: PackSummary,
  report: () => AsyncIterable<string>,
): Generator<BundleDocument> {
  for (const id of reading.order) {
    if (summary.evidence.get(id))
      yield { name: evidenceName(id), open: () => encoded(one(async () => (await reading.item(id)).evidence ?? '')) }
    yield { name: itemName(id), open: () => encoded(one(async () => canonical((await reading.item(id)).item))) }
  }
  yield { name: headName, open: () => encoded([canonical(summary.head)]) }
  yield { name: csvName, open: () => encoded([csvHead(), ...summary.csv]) }
  yield { name: reportName, open: () => encoded(report()) }
}

async function* one(text: () => Promise<string>): AsyncGenerator<string> {
  yield await text()
}

const encoder = new TextEncoder()
const CHUNK = 64 * 1024

/** Texts as UTF-8, in pieces that are worth sending. */
export async function* encoded(texts: Iterable<string> | AsyncIterable<string>): AsyncGenerator<Uint8Array> {
  let waiting = ''
  for await (const text of texts) {
    waiting += text
    if (waiting.length < CHUNK) continue
    yield encoder.encode(waiting)
    waiting = ''
  }
  if (waiting !== '') yield encoder.encode(waiting)
}

/** A policy set with the texts of its files, by their SHA-256. */
export interface PackPolicy {
  version: string
  entry: number
  at: string
  files: { path: string; sha256: string }[]
  /** When: `snapshot` before the campaign decided anything, `now` when the pack is made. */
  when: ('snapshot' | 'now')[]
  texts: Map<string, string>
}

/** Entries of all policy sets that the campaign names, and the sets before and after it with their files. */
async function policiesOf({ entries, policy }: BundleSources, { facts }: PackReading, size: number) {
  const named = new Set(facts.versions.map(({ version }) => version))
  const rows: EntryRow[] = []
  let newest: EntryRow | undefined
  let before: EntryRow | undefined
  for (const row of entries.byType('policy.changed')) {
    if (row.n >= size) break
    newest = row
    const version = row.payload && (payloadValue(row.payload) as { version?: string }).version
    if (!version || !named.has(version)) continue
    rows.push(row)
    if (version === facts.started?.payload.policy && (!before || row.n < facts.started.entry)) before = row
  }
  if (newest && !rows.includes(newest)) rows.push(newest)
  const sets: PackPolicy[] = []
  for (const [row, when] of [[before, 'snapshot'] as const, [newest, 'now'] as const]) {
    const same = sets.find(({ entry }) => entry === row?.n)
    if (same) same.when.push(when)
    const set = row && !same && (await setOf(row, when, policy))
    if (set) sets.push(set)
  }
  return { rows, sets }
}

/** Undefined where its texts are not all there any more: then the entry alone says which files it had. */
async function setOf(
  { n, at, payload }: EntryRow,
  when: 'snapshot' | 'now',
  policy: BundleSources['policy'],
): Promise<PackPolicy | undefined> {
  const said = payload && (payloadValue(payload) as Pick<PackPolicy, 'version' | 'files'>)
  const known = said && (await policy(said.version))
  if (!known) return undefined
  const texts = new Map(known.map(({ text }) => [hash('sha256', text), text]))
  const { version, files } = said
  const all = files.every(({ sha256 }) => texts.has(sha256))
  return all
    ? { version, entry: n, at, files: files.map(({ path, sha256 }) => ({ path, sha256 })), when: [when], texts }
    : undefined
}

function textsOf(sets: readonly PackPolicy[]): { name: string; bytes: Uint8Array }[] {
  const texts = new Map<string, Uint8Array>()
  for (const { files, texts: known } of sets)
    for (const { sha256 } of files) texts.set(policyTextName(sha256), encoder.encode(known.get(sha256)!))
  return [...texts].map(([name, bytes]) => ({ name, bytes }))
}

/** Recordings of the sessions of which commands are cited, with all entries of these. */
function recordingsOf(
  sources: BundleSources,
  cited: readonly number[],
  size: number,
  deletions: ReturnType<typeof deletionsOf>,
  take: (row: EntryRow) => void,
): BundleRecording[] {
  const sessions = new Set(cited.map((n) => entryAt(sources.entries, n).session).filter((one) => one !== null))
  if (sessions.size > MOST_SESSIONS)
    throw new NoBundle(
      'too-large',
      `This campaign cites commands of ${sessions.size} sessions, more than the ${MOST_SESSIONS} whose recordings one bundle takes: ask for the pack without them, and for bundles of single sessions.`,
    )
  return [...sessions].sort().map((session) => {
    const rows: EntryRow[] = []
    for (const row of sources.entries.entriesOf(session)) {
      if (row.n >= size) break
      take(row)
      if (!row.type.startsWith('command')) rows.push(row)
      if (rows.length > MOST_ENTRIES) break
    }
    const said = <T>({ payload }: EntryRow) => (payload ? (payloadValue(payload) as T) : undefined)
    return recordingOf(sources, session, { rows, said, deletions })
  })
}

/** Who decided, moved, commented and signed off. */
function peopleOf({ facts }: PackReading): Manifest['people'] {
  const people = new Map<string, PersonRef>()
  const add = (person: PersonRef) => people.set(person.id, personOf(person))
  for (const { decisions, comments, moves } of facts.items.values()) {
    for (const { by } of decisions) if (by.kind === 'person') add(by)
    for (const { by } of comments) add(by)
    for (const { by } of moves) add(by)
  }
  for (const { payload } of facts.signOffs) add(payload.by)
  return [...people.values()]
}
