import { z } from 'zod'
import type { ApplicationState, ItemVerdict } from '../review.ts'
import type { CampaignFacts } from './campaign-facts.ts'
import type { ItemException, PackItem } from './campaign-item.ts'
import { type PackReviewer, Reviewers } from './campaign-reviewers.ts'
import type { Actor, PayloadOf } from './payloads.ts'

/** The documents of an evidence pack beside the entries that they follow from (docs/formats.md, "Bundles of campaigns"). */

export const headName = 'campaign.json'
export const csvName = 'items.csv'
export const reportName = 'report.html'
export const evidenceName = (item: string) => `evidence/${item}.json`
export const itemName = (item: string) => `items/${item}.json`
/** By the text's SHA-256: versions share most of their files. */
export const policyTextName = (sha256: string) => `policies/${sha256}.cedar`

/** A policy set as it was in force before or after the campaign. */
export interface PackPolicy {
  version: string
  /** The entry policy.changed that says which files it has. */
  entry: number
  files: { path: string; sha256: string }[]
}

export interface PackCounts extends Record<ItemVerdict, number> {
  items: number
  privileged: number
  decisions: number
  comments: number
  moves: number
  /** Times that an item went on to its next stage. */
  stages: number
  signOffs: number
  overlays: number
  /** Items decided by the expiry default. */
  expired: number
  /** Decisions marked as bulk. */
  bulk: number
  applications: Record<ApplicationState, number>
}

export type CampaignException =
  | 'not-closed'
  | 'not-signed-off'
  | 'rubber-stamp'
  | 'evidence-missing'
  | 'commands-left-out'

/** `campaign.json`. */
export interface PackHead {
  format: 'countersign-campaign/1'
  campaign: string
  state: 'draft' | 'active' | 'closed'
  title: string
  /** As the campaign was made: scope, window, stages, expiry default, controls. */
  plan: Record<string, unknown>
  trigger: Record<string, unknown>
  created?: { entry: number; at: string; by: Actor }
  started?: { entry: number; at: string; by: Actor; items: number; snapshotAt: string; dueAt: string; policy: string }
  closed?: { entry: number; at: string; by: Actor; reason: string }
  signOffs: { entry: number; at: string; by: PayloadOf<'campaign.signed-off'>['by']; statement: string }[]
  counts: PackCounts
  reviewers: PackReviewer[]
  /** Commands that evidence documents cite: those whose entries are here, and those left out since one file takes no more. */
  cited: { commands: number; erased: number; leftOut: number }
  exceptions: { code: ItemException | CampaignException; count: number }[]
}

/** Counts items as they go by, so that none has to be kept. */
export class PackTally {
  readonly counts: PackCounts = {
    items: 0,
    undecided: 0,
    certify: 0,
    reduce: 0,
    revoke: 0,
    abstain: 0,
    privileged: 0,
    decisions: 0,
    comments: 0,
    moves: 0,
    stages: 0,
    signOffs: 0,
    overlays: 0,
    expired: 0,
    bulk: 0,
    applications: { pending: 0, applied: 0, verified: 0, failed: 0, 'not-supported': 0 },
  }
  readonly cited = { commands: 0, erased: 0, leftOut: 0 }
  evidenceMissing = 0
  readonly #exceptions = new Map<ItemException, number>()
  readonly #reviewers = new Reviewers()

  add(item: PackItem): void {
    const { counts } = this
    counts.items++
    counts[item.verdict]++
    if (item.privileged) counts.privileged++
    counts.decisions += item.decisions.length
    counts.comments += item.comments.length
    counts.moves += item.moves.length
    counts.stages += item.stages.length
    counts.overlays += item.overlays.length
    if (item.how === 'expired-default') counts.expired++
    if (item.application) counts.applications[item.application]++
    for (const code of item.exceptions) this.#exceptions.set(code, (this.#exceptions.get(code) ?? 0) + 1)
    for (const { bulk } of item.decisions) if (bulk !== undefined) counts.bulk++
    this.#reviewers.add(item)
  }

  /** `campaign.json`, once all items went by. */
  head(facts: CampaignFacts): PackHead {
    const { created, changed, started, closed, signOffs, campaign } = facts
    const said = (changed ?? created)?.payload
    const counts = { ...this.counts, signOffs: signOffs.length }
    const reviewers = this.#reviewers.list()
    const flags = reviewers.filter(({ flags }) => flags.length > 0).length
    const exceptions: PackHead['exceptions'] = [...this.#exceptions].map(([code, count]) => ({ code, count }))
    const add = (code: CampaignException, count: number) => count > 0 && exceptions.push({ code, count })
    add('not-closed', closed ? 0 : 1)
    add('not-signed-off', signOffs.length > 0 ? 0 : 1)
    add('rubber-stamp', flags)
    add('evidence-missing', this.evidenceMissing)
    add('commands-left-out', this.cited.leftOut)
    return {
      format: 'countersign-campaign/1',
      campaign,
      state: closed ? 'closed' : started ? 'active' : 'draft',
      title: said?.title ?? '',
      plan: { ...said?.plan },
      trigger: { ...created?.payload.trigger },
      ...(created && { created: { entry: created.entry, at: created.at, by: created.payload.by } }),
      ...(started && { started: startOf(started) }),
      ...(closed && {
        closed: { entry: closed.entry, at: closed.at, by: closed.payload.by, reason: closed.payload.reason },
      }),
      signOffs: signOffs.map(({ entry, at, payload: { by, statement } }) => ({ entry, at, by, statement })),
      counts,
      reviewers,
      cited: { ...this.cited },
      exceptions: exceptions.sort((a, b) => (a.code < b.code ? -1 : 1)),
    }
  }
}

const startOf = ({ entry, at, payload }: NonNullable<CampaignFacts['started']>) => {
  const { by, items, snapshotAt, dueAt, policy } = payload
  return { entry, at, by, items, snapshotAt, dueAt, policy }
}

/** The numbers that an entry pack.made commits to by the gateway's tables: what it counted can't be left out of the pack. */
export function committedCounts({ counts, closed }: Pick<PackHead, 'counts' | 'closed'>): Record<string, number> {
  const { applications: _, expired: __, bulk: ___, ...rest } = counts
  return { ...rest, closed: closed ? 1 : 0 }
}

/** What of an evidence document has to be known to hold it against entries, and for the table; the rest is for people. */
const cited = z.looseObject({
  session: z.string(),
  command: z.string(),
  entry: z.number().int().nonnegative().optional(),
})
export const KnownEvidence = z.looseObject({
  format: z.literal('countersign-evidence/1'),
  campaign: z.string(),
  item: z.string(),
  identity: z.looseObject({
    sponsor: z.string().optional(),
    sponsorName: z.string().optional(),
    owner: z.string().optional(),
    lastUsedAt: z.string().optional(),
  }),
  connection: z.looseObject({ name: z.string(), access: z.string().optional() }),
  coverage: z
    .looseObject({
      commands: z.number(),
      unreadable: z.number(),
      since: z.string().optional(),
      notes: z.array(z.string()),
    })
    .optional(),
  permitted: z.array(z.unknown()),
  used: z.array(z.unknown()),
  days: z.array(z.looseObject({ allowed: z.number(), held: z.number(), denied: z.number() })),
  refused: z.array(cited),
  heldCommands: z.array(cited),
  sampled: z.looseObject({ commands: z.array(cited) }).optional(),
})
export type KnownEvidence = z.infer<typeof KnownEvidence>
export type CitedCommand = z.infer<typeof cited>

/** Commands that an evidence document cites, each once, in its order. */
export function citedIn({ refused, heldCommands, sampled }: KnownEvidence): CitedCommand[] {
  const known = new Set<string>()
  return [...refused, ...heldCommands, ...(sampled?.commands ?? [])].filter(({ session, command }) => {
    const key = `${session} ${command}`
    return !known.has(key) && known.add(key)
  })
}

const columns = [
  'number',
  'item',
  'kind',
  'agent',
  'name',
  'connection',
  'access',
  'privileged',
  'sponsor',
  'owner',
  'last used',
  'permitted',
  'used',
  'commands',
  'denied',
  'held',
  'recommended',
  'why',
  'verdict',
  'how',
  'decided by',
  'decided at',
  'reason',
  'decisions',
  'comments',
  'application',
  'overlay',
  'exceptions',
  'evidence sha256',
  'ledger entry',
] as const

/** The first line of `items.csv`. */
export const csvHead = (): string => csvLine(columns)

/** An item's line of `items.csv` (RFC 4180, CRLF). What a spreadsheet would take for a formula begins with an apostrophe. */
export function csvOf(item: PackItem, evidence: KnownEvidence | undefined): string {
  const counts = item.decisions.find(({ id }) => id === item.decision)
  const total = (of: 'allowed' | 'held' | 'denied') => evidence?.days.reduce((sum, day) => sum + day[of], 0)
  const by = counts?.by
  return csvLine([
    item.number,
    item.id,
    item.kind,
    item.agent,
    item.name,
    item.connection,
    evidence?.connection.access,
    item.privileged ? 'yes' : 'no',
    evidence?.identity.sponsorName ?? evidence?.identity.sponsor,
    evidence?.identity.owner,
    evidence?.identity.lastUsedAt,
    evidence?.permitted.length,
    evidence?.used.length,
    evidence && total('allowed')! + total('held')! + total('denied')!,
    total('denied'),
    total('held'),
    item.recommendation.verdict,
    item.recommendation.summary,
    item.verdict,
    item.how,
    by && (by.kind === 'gateway' ? 'the gateway' : `${by.name} (${by.id})`),
    counts?.at,
    counts?.reason,
    item.decisions.length,
    item.comments.length,
    item.application,
    item.overlays.map(({ id, state }) => `${id} ${state}`).join('; '),
    item.exceptions.join('; '),
    item.evidence,
    item.entry,
  ])
}

function csvLine(values: readonly (string | number | undefined)[]): string {
  return `${values.map((value) => (typeof value === 'number' ? String(value) : csvText(value ?? ''))).join(',')}\r\n`
}

/** Control characters and those that turn the direction of text as their code points; a line break stays one. */
function csvText(text: string): string {
  const shown = text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\0-\x09\x0b-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g,
    (one) => `\\u{${one.charCodeAt(0).toString(16)}}`,
  )
  // Spreadsheets look past blanks, and know the wide forms of these too.
  const safe = /^\s*[=+\-@|%\uff1d\uff0b\uff0d\uff20]/.test(shown) ? `'${shown}` : shown
  return /[",\n]|^'|^\s|\s$/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe
}
