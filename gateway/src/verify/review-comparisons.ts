import { createHash } from 'node:crypto'
import { canonical } from '@countersign/contract/canonical'
import type { EntryType } from '@countersign/contract/ledger/payloads'
import { type Comparison, orNull, type SpokenEntry, text } from './comparison.ts'
import { asValue, type Columns, fromJson, type Said, type Value } from './said.ts'

/** Campaigns and what is in them (docs/reviews.md): what the ledger says of each row, from draft to sign-off. */

const sha256 = (of: unknown) => createHash('sha256').update(text(of)).digest('hex')
const idOf = (person: unknown) => text((person as { id?: unknown } | null | undefined)?.id)

/** Whose doing an entry was, as a row has it: a person without the kind, or nobody. */
function personIn(actor: unknown): Value {
  const { kind, ...person } = (actor ?? {}) as Record<string, unknown>
  return kind === undefined || kind === 'person' ? asValue(person) : null
}

/** SHA-256 of the canonical form of a column's JSON. */
function hashIn(json: unknown): Value {
  try {
    return sha256(canonical(JSON.parse(text(json))))
  } catch {
    return 'not JSON'
  }
}

const untouched = { snapshot_at: null, due_at: null, policy: null, window_from: null, coverage: null }
const running = { closed_at: null, closed_by: null, closed_because: null }

const campaigns: Comparison = {
  table: 'campaigns',
  what: 'campaign',
  sql: 'select * from campaigns',
  row: ({ id, plan, trigger, created_by, started_by, coverage, closed_by, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      plan: fromJson(plan),
      trigger: fromJson(trigger),
      created_by: fromJson(created_by),
      started_by: fromJson(started_by),
      coverage: fromJson(coverage),
      closed_by: fromJson(closed_by),
    },
  }),
  types: ['campaign.created', 'campaign.changed', 'campaign.removed', 'campaign.started', 'campaign.closed'],
  says({ at, type, payload }) {
    const key = text(payload.campaign)
    const { title, plan, trigger, by, owner } = payload
    const told = {
      title: text(title),
      plan: asValue(plan),
      template: orNull((plan as { template?: unknown })?.template),
    }
    switch (type) {
      case 'campaign.created': {
        const made = { created_at: at, created_by: personIn(by), owner: orNull(owner), trigger: asValue(trigger) }
        return { key, columns: { state: 'draft', ...told, ...made, ...untouched, ...running } }
      }
      case 'campaign.changed':
        return { key, columns: told }
      case 'campaign.removed':
        return { key, columns: { removed: 1 } }
      case 'campaign.started': {
        const { snapshotAt, dueAt, policy, windowFrom, coverage } = payload
        const taken = { snapshot_at: text(snapshotAt), due_at: text(dueAt), policy: text(policy) }
        const read = { window_from: orNull(windowFrom), coverage: coverage === undefined ? null : asValue(coverage) }
        const started = { started_at: at, started_by: personIn(by), owner: orNull(owner) }
        return { key, columns: { state: 'active', ...started, ...taken, ...read } }
      }
      default: {
        const closed = { closed_at: at, closed_by: personIn(by), closed_because: text(payload.reason) }
        // Which items it left undecided: their rows say so, and are held against this.
        return { key, columns: { state: 'closed', ...closed, skipped: asValue(payload.skipped ?? []) } }
      }
    }
  },
  forgotten: isRemoved,
  also: (_row, said) => (said && isRemoved(said) ? 'is there, though the draft was taken away' : undefined),
}

/** What becomes of an item by each entry of its overlay. */
const applications: Partial<Record<string, string>> = {
  'overlay.proposed': 'pending',
  'overlay.applied': 'applied',
  'overlay.verified': 'verified',
  'overlay.failed': 'failed',
  'overlay.rejected': 'failed',
  'overlay.rolled-back': 'failed',
  'overlay.retired': 'verified',
}
const undecided = {
  verdict: 'undecided',
  how: null,
  decision: null,
  decided_at: null,
  application: null,
  overlay: null,
}

const items: Comparison = {
  table: 'campaign_items',
  what: 'item of a campaign',
  sql: 'select * from campaign_items',
  row: ({ id, summary, evidence, recommendation, reviewers, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      summary: hashIn(summary),
      // Of the document as it is, not as the row says that it is.
      evidence: sha256(evidence),
      recommendation: fromJson(recommendation),
      reviewers: namedIn(reviewers),
    },
  }),
  types: ['campaign.item', 'item.decided', 'item.staged', 'item.moved', ...(Object.keys(applications) as EntryType[])],
  says({ at, type, payload }, before) {
    const application = applications[type]
    if (application !== undefined) {
      if (payload.item === undefined) return undefined
      const of = { key: text(payload.item), overlay: text(payload.overlay) }
      // One of a decision before the last says nothing of the item any more.
      if (type !== 'overlay.proposed' && before(of.key)?.columns.overlay !== of.overlay) return undefined
      const { itemRevision } = payload
      const revised = itemRevision === undefined ? {} : { revision: Number(itemRevision) }
      return { key: of.key, columns: { application, overlay: of.overlay, ...revised } }
    }
    const key = text(payload.item)
    const revised = payload.revision === undefined ? {} : { revision: Number(payload.revision) }
    const asked = { reviewers: sorted(payload.reviewers) }
    if (type === 'item.moved') return { key, columns: { ...asked, ...revised } }
    // What was decided before was not the last word.
    if (type === 'item.staged') return { key, columns: { ...undecided, ...asked, stage: Number(payload.stage) } }
    if (type === 'item.decided') {
      const { verdict, how, decision } = payload
      const decided = { verdict: text(verdict), how: text(how), decision: text(decision), decided_at: at, ...revised }
      // Until a proposal says that it is one.
      const enforced = verdict === 'reduce' || verdict === 'revoke' ? 'not-supported' : null
      return { key, columns: { ...decided, application: enforced, overlay: null } }
    }
    const { campaign, number, kind, agent, name, connection, privileged, evidence, summary, recommendation } = payload
    const about = { kind: text(kind), agent: text(agent ?? ''), name: text(name), connection: text(connection) }
    const weighed = { privileged: privileged === true ? 1 : 0, recommendation: asValue(recommendation) }
    const documents = { evidence: text(evidence), evidence_sha256: text(evidence) }
    return {
      key,
      columns: {
        ...{ campaign: text(campaign), number: Number(number), ...about, ...weighed, ...documents },
        ...(summary !== undefined && { summary: text(summary) }),
        ...{ ...undecided, ...asked, stage: 0, revision: 0 },
      },
    }
  },
  // Where everybody is asked, the names are only some of them; which items a campaign left undecided is looked into below.
  mayDiffer: ({ how }, column, { columns }) =>
    (column === 'reviewers' && text(columns.reviewers).includes('"*"')) ||
    (['how', 'decided_at', 'revision'].includes(column) && how === 'skipped' && columns.how === null),
  also({ key, columns }, said, { said: all }) {
    const campaign = all.get('campaigns', text(columns.campaign))?.columns
    const skipped = (JSON.parse(text(campaign?.skipped ?? '[]')) as unknown[]).includes(key)
    if (columns.how === 'skipped' && !skipped) return 'says that it was left undecided, and no entry says so'
    if (columns.how === 'skipped' && columns.decided_at !== campaign?.closed_at)
      return 'says that it was left undecided at another time than its campaign was closed'
    if (skipped && said?.columns.how === null && columns.how !== 'skipped')
      return 'is open, though its campaign was closed without it'
    return undefined
  },
}

/** Ids of people, in their order. */
function namedIn(json: unknown): Value {
  try {
    return sorted((JSON.parse(text(json)) as unknown[]).map(idOf))
  } catch {
    return 'not JSON'
  }
}
const sorted = (ids: unknown): Value => asValue(Array.isArray(ids) ? ids.map(text).sort() : 'no list')

/** Who may decide an item now: all rows of an item at once. */
const reviewers: Comparison = {
  table: 'item_reviewers',
  what: 'list of an item’s reviewers',
  sql: 'select item, json_group_array(person) as people, min(campaign) as campaign, max(campaign) as other from item_reviewers group by item',
  row: ({ item, people, campaign, other }) => ({
    key: text(item),
    columns: { people: sorted(JSON.parse(text(people))), campaign: campaign === other ? text(campaign) : 'several' },
  }),
  types: ['campaign.item', 'item.staged', 'item.moved'],
  says: ({ payload: { item, campaign, reviewers } }) => ({
    key: text(item),
    columns: { people: sorted(reviewers), campaign: text(campaign) },
  }),
}

const decisions: Comparison = {
  table: 'item_decisions',
  what: 'decision on an item',
  sql: 'select * from item_decisions',
  row: ({ id, by, in_place_of, evidence_opened, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      by: fromJson(by),
      in_place_of: fromJson(in_place_of),
      evidence_opened: fromJson(evidence_opened),
    },
  }),
  types: ['item.decided'],
  says({ at, payload }) {
    const { campaign, item, decision, stage, verdict, reason, by, how, bulk, policy, madeAt, followed } = payload
    const { inPlaceOf, seconds, evidenceOpened, request } = payload
    const person = personIn(by)
    return {
      key: text(decision),
      columns: {
        ...{ campaign: text(campaign), item: text(item), stage: Number(stage), verdict: text(verdict) },
        ...{ reason: text(reason), policy: orNull(policy), at, made_at: orNull(madeAt), how: text(how) },
        ...{ person: person === null ? '' : idOf(by), by: person },
        in_place_of: inPlaceOf === undefined ? null : asValue(inPlaceOf),
        ...{ bulk: orNull(bulk), seconds: orNull(seconds), request_sha256: text(request ?? '') },
        evidence_opened: evidenceOpened === undefined ? null : asValue(evidenceOpened),
        ...(followed !== undefined && { followed: followed === true ? 1 : 0 }),
      },
    }
  },
}

const comments: Comparison = {
  table: 'item_comments',
  what: 'comment on an item',
  sql: 'select * from item_comments',
  row: ({ id, by, ...columns }) => ({ key: text(id), columns: { ...(columns as Columns), by: fromJson(by) } }),
  types: ['item.commented'],
  says: ({ at, payload: { campaign, item, comment, by, text: said, madeAt } }) => ({
    key: text(comment),
    columns: {
      ...{ campaign: text(campaign), item: text(item), person: idOf(by), by: asValue(by) },
      ...{ text: text(said), at, made_at: orNull(madeAt) },
    },
  }),
}

const moves: Comparison = {
  table: 'item_moves',
  what: 'handing over of an item',
  sql: 'select * from item_moves',
  row: ({ id, from_ref, to_ref, by, ...columns }) => ({
    key: text(id),
    columns: {
      ...(columns as Columns),
      from: from_ref === null ? null : idOf(JSON.parse(text(from_ref))),
      to_ref: fromJson(to_ref),
      by: fromJson(by),
    },
  }),
  types: ['item.moved'],
  says: ({ at, payload: { campaign, item, move, kind, from, to, by, reason, stage } }) => ({
    key: text(move),
    columns: {
      ...{ campaign: text(campaign), item: text(item), kind: text(kind), from: orNull(from) },
      ...{ to_ref: asValue(to), by: asValue(by), reason: text(reason), at },
      ...(stage !== undefined && { stage: Number(stage) }),
    },
  }),
}

const signOffs: Comparison = {
  table: 'campaign_sign_offs',
  what: 'sign-off',
  sql: 'select * from campaign_sign_offs',
  row: ({ campaign, person, by, ...columns }) => ({
    key: `${campaign} by ${person}`,
    columns: { ...(columns as Columns), by: fromJson(by) },
  }),
  types: ['campaign.signed-off'],
  says: ({ at, payload: { campaign, by, statement } }) => ({
    key: `${campaign} by ${idOf(by)}`,
    columns: { by: asValue(by), statement: text(statement), at },
  }),
}

const templates: Comparison = {
  table: 'campaign_templates',
  what: 'template of campaigns',
  sql: 'select id, plan, cadence, triggers, enabled, by, changed_at from campaign_templates',
  row: ({ id, plan, cadence, triggers, enabled, by, changed_at }) => ({
    key: text(id),
    columns: {
      says: hashIn(`{"plan":${plan},"cadence":${cadence ?? 'null'},"triggers":${triggers}}`),
      ...{ enabled: Number(enabled), by: fromJson(by), changed_at: text(changed_at) },
    },
  }),
  types: ['template.saved'],
  says: ({ at, payload: { template, by, sha256: hash, enabled, removed } }: SpokenEntry) => ({
    key: text(template),
    columns: {
      ...{ says: text(hash), enabled: enabled === true ? 1 : 0, by: by === undefined ? null : asValue(by) },
      ...{ changed_at: at, removed: removed === true ? 1 : 0 },
    },
  }),
  forgotten: isRemoved,
  also: (_row, said) => (said && isRemoved(said) ? 'is there, though it was taken away' : undefined),
}

function isRemoved({ columns }: Said): boolean {
  return columns.removed === 1
}

/** Items after campaigns: which they left undecided is asked of those. */
export const reviewComparisons: readonly Comparison[] = [
  ...[templates, campaigns, items, reviewers],
  ...[decisions, comments, moves, signOffs],
]
