import { setImmediate as turn } from 'node:timers/promises'
import { canonical, parseCanonical } from '@countersign/contract/canonical'
import { CampaignFacts, campaignTypes } from '@countersign/contract/ledger/campaign-facts'
import type { ItemException, PackItem } from '@countersign/contract/ledger/campaign-item'
import { citedIn, csvOf, KnownEvidence, type PackHead, PackTally } from '@countersign/contract/ledger/campaign-pack'
import { payloadValue } from '@countersign/contract/ledger/entry'
import { type ItemEvidence, Recommendation } from '@countersign/contract/review'
import type { Kysely } from 'kysely'
import type { Entries } from '../../sessions/ledger/entries.ts'
import type { Tables } from '../../store/tables.ts'

/** An item with its evidence document as it is kept; absent where that is gone. */
export interface PackedItem {
  item: PackItem
  evidence: string | undefined
}

/** A campaign as the ledger has it up to an entry. */
export interface PackReading {
  facts: CampaignFacts
  /** Numbers of its entries, rising. */
  entries: readonly number[]
  /** Ids of its items, by number. */
  order: readonly string[]
  /** One of them, read anew; the last one is kept. */
  item(id: string): Promise<PackedItem>
  /** One after another. */
  items(): AsyncGenerator<PackedItem>
}

/** So many rows are looked at between two turns of the event loop. */
const AT_ONCE = 100

/**
 * Reads all that the ledger says of a campaign, up to and including entry `last`.
 * Undefined where no entry knows it.
 */
export async function readCampaign(
  db: Kysely<Tables>,
  entries: Pick<Entries, 'byType'>,
  campaign: string,
  last: number,
): Promise<PackReading | undefined> {
  const name = Buffer.from(`"campaign":${JSON.stringify(campaign)}`)
  let from: number | undefined
  const found: { n: number; type: string; at: string; value: unknown }[] = []
  let looked = 0
  for (const type of campaignTypes) {
    // Whatever else is said of it comes after that it was made.
    if (from === undefined && type !== 'campaign.created') return undefined
    for (const { n, at, payload } of entries.byType(type, { from: from ?? 0 })) {
      if (n > last) break
      if (++looked % AT_ONCE === 0) await turn()
      if (!payload || !Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).includes(name)) continue
      const value = payloadValue(payload)
      if ((value as { campaign?: unknown } | undefined)?.campaign !== campaign) continue
      if (type === 'campaign.created') from ??= n
      found.push({ n, type, at, value })
    }
  }
  found.sort((a, b) => a.n - b.n)
  const facts = new CampaignFacts(campaign)
  for (const [i, { n, type, at, value }] of found.entries()) {
    if (i % AT_ONCE === 0) await turn()
    facts.add(n, type, at, value)
  }
  const order = [...facts.items].sort(([, a], [, b]) => a.said.payload.number - b.said.payload.number).map(([id]) => id)
  const read = async (id: string): Promise<PackedItem> => {
    // A query of SQLite's answers without a turn of the event loop.
    await turn()
    const select = db.selectFrom('campaign_items').select(['evidence', 'recommendation'])
    const row = await select.where('id', '=', id).executeTakeFirst()
    return {
      item: facts.item(id, keptRecommendation(row?.recommendation))!,
      evidence: row?.evidence || undefined,
    }
  }
  let kept: { id: string; item: Promise<PackedItem> } | undefined
  const item = (id: string) => {
    if (kept?.id !== id) kept = { id, item: read(id) }
    return kept.item
  }
  return {
    facts,
    entries: found.map(({ n }) => n),
    order,
    item,
    async *items() {
      for (const id of order) yield await item(id)
    },
  }
}

/** As it is kept. */
function keptRecommendation(text: string | undefined): Recommendation | undefined {
  const parsed = Recommendation.safeParse(text === undefined ? undefined : jsonOf(text))
  return parsed.success ? parsed.data : undefined
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

export interface Cited {
  session: string
  command: string
  entry: number | undefined
}

/** What one look at all items tells: totals, the table, and the commands that are cited. */
export interface PackSummary {
  head: PackHead
  /** Lines of items.csv, without the first. */
  csv: string[]
  /** Whether there is a document, by item. */
  evidence: Map<string, boolean>
  /** Entries of cited commands that are to be in a bundle, rising. */
  cited: number[]
  /** What of the window could be read, as evidence documents say, with how many items say so. */
  coverage: (ItemEvidence['coverage'] & { items: number })[]
  /** Items with something open. */
  open: { number: number; name: string; connection: string; codes: ItemException[] }[]
}

/** So many different answers to what could be read are told apart. */
const MOST_COVERAGES = 20

/**
 * Goes through all items once.
 * @param citedEntry what an entry that is cited is: `left-out` where a bundle has no room for it
 */
export async function summaryOf(
  reading: PackReading,
  citedEntry: (cited: Cited) => 'taken' | 'erased' | 'left-out' | 'unknown',
): Promise<PackSummary> {
  const tally = new PackTally()
  const csv: string[] = []
  const evidence = new Map<string, boolean>()
  const cited = new Set<number>()
  const coverage = new Map<string, number>()
  const open: PackSummary['open'] = []
  for await (const packed of reading.items()) {
    const { item } = packed
    const known = knownEvidence(packed)
    evidence.set(item.id, packed.evidence !== undefined)
    if (!known) tally.evidenceMissing++
    for (const { session, command, entry } of known ? citedIn(known) : []) {
      const state = citedEntry({ session, command, entry })
      if (entry === undefined || state === 'unknown') continue
      if (state !== 'left-out') cited.add(entry)
      if (state === 'taken') tally.cited.commands++
      else if (state === 'erased') tally.cited.erased++
      else tally.cited.leftOut++
    }
    tally.add(item)
    csv.push(csvOf(item, known))
    const read = canonical(known?.coverage ?? null)
    if (known?.coverage && (coverage.has(read) || coverage.size < MOST_COVERAGES))
      coverage.set(read, (coverage.get(read) ?? 0) + 1)
    const { number, name, connection, exceptions } = item
    if (exceptions.length > 0) open.push({ number, name, connection, codes: exceptions })
  }
  return {
    head: tally.head(reading.facts),
    csv,
    evidence,
    cited: [...cited].sort((a, b) => a - b),
    coverage: [...coverage].map(([text, items]) => ({ ...JSON.parse(text), items })),
    open,
  }
}

/** An evidence document as far as it has to be known. Undefined where it isn't there, or can't be read. */
export function knownEvidence({ evidence }: PackedItem): KnownEvidence | undefined {
  const parsed = evidence === undefined ? undefined : KnownEvidence.safeParse(parseCanonical(evidence)?.value)
  return parsed?.success ? parsed.data : undefined
}
