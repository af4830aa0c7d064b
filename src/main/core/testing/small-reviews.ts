import type { IncomingMessage } from 'node:http'
import { json } from 'node:stream/consumers'
import type { FeedMessage } from '@countersign/contract/feed'
import type { Me } from '@countersign/contract/identity'
import {
  BulkRequest,
  Campaign,
  CampaignItem,
  CampaignItemPage,
  CampaignPlan,
  type CampaignTemplate,
  type ItemComment,
  ItemCommentRequest,
  type ItemDecision,
  ItemDecisionRequest,
  ItemMoveRequest,
  type ReviewSignals,
  TemplateRequest,
} from '@countersign/contract/review'

/** The reviews of a small gateway. What it says is checked by the contract; it decides by itself who was first. */
export interface SmallReviews {
  campaigns: Map<string, Campaign>
  items: Map<string, CampaignItem>
  templates: Map<string, CampaignTemplate>
  itemDecisions: (ItemDecision & { body: unknown })[]
  comments: ItemComment[]
  /** Files of campaigns: the pack, tables. */
  files: Map<string, Buffer>
  /** Tells the feed of an item as it is now; its revision rises. */
  item(given: Partial<CampaignItem> & { id: string }): CampaignItem
  campaign(given: Partial<Campaign> & { id: string }, type?: 'campaign.started' | 'campaign.closed'): Campaign
}

type Told =
  | { items: unknown[] }
  | { item: unknown }
  | { bytes: Buffer; type: string }
  | { problem: string; status: number; members?: object }

export function smallReviews(say: (type: FeedMessage['type'], data: unknown) => void) {
  const rooms: SmallReviews = {
    campaigns: new Map(),
    items: new Map(),
    templates: new Map(),
    itemDecisions: [],
    comments: [],
    files: new Map(),
    item(given) {
      const before = rooms.items.get(given.id)
      const item = CampaignItem.parse({
        ...someItem(given.id),
        ...before,
        revision: (before?.revision ?? -1) + 1,
        ...given,
      })
      rooms.items.set(item.id, item)
      // The feed tells everybody the same.
      say('campaign.item', { ...item, mine: false })
      return item
    },
    campaign(given, type) {
      const campaign = Campaign.parse({ ...someCampaign(given.id), ...rooms.campaigns.get(given.id), ...given })
      rooms.campaigns.set(campaign.id, campaign)
      say(type ?? 'campaign.changed', { ...campaign, counts: { ...campaign.counts, mine: 0 } })
      return campaign
    },
  }

  async function answer(url: URL, person: Me, request: IncomingMessage): Promise<Told | undefined> {
    const [, , room, id, part, item, deed, own] = url.pathname.split('/').map(decodeURIComponent)
    const by = { id: person.id, issuer: person.issuer, subject: person.subject, name: person.name }
    const at = new Date().toISOString()
    const posts = request.method === 'POST'
    if (room === 'campaign-templates') {
      if (!id) return { items: [...rooms.templates.values()] }
      if (request.method === 'DELETE') return { item: { gone: rooms.templates.delete(id) } }
      const { cadence, ...rest } = TemplateRequest.parse(await json(request))
      const made = { id, builtIn: false, by, changedAt: at, ...rest, ...(cadence && { cadence }) }
      rooms.templates.set(id, made)
      return { item: made }
    }
    if (room !== 'campaigns') return undefined
    if (person.kind !== 'person' || !person.roles.some((role) => role !== 'approver'))
      return { status: 403, problem: 'Campaigns are for reviewers, auditors and admins.' }
    if (!id && posts) {
      const plan = CampaignPlan.parse(await json(request))
      const { windowDays, ...rest } = plan
      const made = {
        ...rest,
        id: `ca_${rooms.campaigns.size + 1}`,
        window: { days: windowDays },
        state: 'draft' as const,
      }
      return { item: rooms.campaign({ ...made, createdBy: by }) }
    }
    if (!id) return { items: [...rooms.campaigns.values()].map(counted) }
    const campaign = rooms.campaigns.get(id)
    if (!campaign) return { status: 404, problem: 'There is no such campaign.' }
    if (request.method === 'DELETE') return { item: { gone: rooms.campaigns.delete(id) } }
    if (request.method === 'PATCH') {
      const { windowDays, ...plan } = CampaignPlan.parse(await json(request))
      return { item: rooms.campaign({ id, ...plan, window: { days: windowDays } }) }
    }
    if (part === 'start') return { item: rooms.campaign({ id, starting: { done: 0, of: 10, doing: 'reading' } }) }
    if (part === 'close') {
      const { reason } = (await json(request)) as { reason: string }
      return { item: rooms.campaign({ id, state: 'closed', closedAt: at, closedBecause: reason }, 'campaign.closed') }
    }
    if (part === 'sign-off') {
      const { statement } = (await json(request)) as { statement: string }
      return { item: rooms.campaign({ id, signedOffBy: [...campaign.signedOffBy, { person: by, at, statement }] }) }
    }
    if (part === 'signals') return { item: { reviewers: [], burnDown: [] } satisfies ReviewSignals }
    const file = rooms.files.get(part ?? '')
    if (file) return { bytes: file, type: 'application/octet-stream' }
    if (part === 'bulk') {
      const { items, verdict, preview } = BulkRequest.parse(await json(request))
      const asked = items.map((each) => rooms.items.get(each.id)!)
      const [refused, fit] = [asked.filter((each) => each.privileged), asked.filter((each) => !each.privileged)]
      if (preview) for (const each of fit) rooms.item({ id: each.id, verdict, decidedBy: by, bulk: true })
      return {
        item: {
          ...{ preview: 'b'.repeat(64), verdict, done: preview !== undefined },
          items: fit.map(({ id: one, name, connection }) => ({
            ...{ id: one, name, connection, recommended: 'certify', followed: verdict === 'certify' },
          })),
          refused: refused.map(({ id: one }) => ({ id: one, why: 'privileged' })),
        },
      }
    }
    if (part !== 'items') return { item: counted(campaign) }
    if (!item) return { items: [...rooms.items.values()].filter((each) => each.campaign === id) }
    const known = rooms.items.get(item)
    if (!known) return { status: 404, problem: 'There is no such item.' }
    if (deed === 'decisions') return decide(campaign, known, own!, by, await json(request))
    if (deed === 'comments') {
      const before = rooms.comments.find((each) => each.id === own)
      if (before) return { item: before }
      const made: ItemComment = {
        id: own!,
        item,
        by,
        at,
        ...ItemCommentRequest.parse(await json(request)),
      } as ItemComment
      rooms.comments.push(made)
      rooms.item({ id: item, comments: known.comments + 1, revision: known.revision })
      return { item: made }
    }
    if (deed === 'reassign' || deed === 'delegate') {
      const { to } = ItemMoveRequest.parse(await json(request))
      return { item: rooms.item({ id: item, reviewers: [{ ...by, id: to, name: to }], mine: false }) }
    }
    return { item: pageOf(known) }
  }

  function decide(campaign: Campaign, item: CampaignItem, id: string, by: Campaign['startedBy'], sent: unknown): Told {
    const body = ItemDecisionRequest.parse(sent)
    const before = rooms.itemDecisions.find((each) => each.id === id)
    if (before) return { item: { item: rooms.items.get(item.id), decision: before } }
    if (campaign.state === 'closed') return { status: 409, problem: 'This campaign is closed.', members: { item } }
    if (item.revision !== body.revision || item.verdict !== 'undecided')
      return { status: 409, problem: 'Somebody decided this first.', members: { item } }
    if (!item.mine) return { status: 403, problem: 'You are not one of the reviewers of this item.' }
    const at = new Date().toISOString()
    const decision = {
      ...{ id, item: item.id, stage: 0, verdict: body.verdict, reason: body.reason, at, how: 'reviewer' as const },
      ...{ followed: true, body: sent, ...(by && { by }) },
    }
    rooms.itemDecisions.push(decision)
    const next = rooms.item({ id: item.id, verdict: body.verdict, decidedAt: at, ...(by && { decidedBy: by }) })
    return { item: { item: next, decision } }
  }

  function counted(campaign: Campaign): Campaign {
    const items = [...rooms.items.values()].filter((each) => each.campaign === campaign.id)
    const undecided = items.filter(({ verdict }) => verdict === 'undecided')
    const mine = undecided.filter((each) => each.mine).length
    return { ...campaign, counts: { ...campaign.counts, items: items.length, undecided: undecided.length, mine } }
  }

  function pageOf(item: CampaignItem): CampaignItemPage {
    const decisions = rooms.itemDecisions.filter((each) => each.item === item.id)
    const comments = rooms.comments.filter((each) => each.item === item.id)
    return CampaignItemPage.parse({ ...somePage(item), decisions, comments })
  }

  return { rooms, answer }
}

const now = () => new Date().toISOString()

export function someCampaign(id = 'ca_1'): Campaign {
  const applications = { pending: 0, applied: 0, verified: 0, failed: 0, 'not-supported': 0 }
  return {
    ...{ id, state: 'active', title: 'Q4 recertification', description: '', scope: {}, window: { days: 90 } },
    ...{ stages: [{ title: 'Review', reviewers: [{ kind: 'role' }] }], onExpiry: 'revoke', controls: [] },
    ...{ trigger: { kind: 'person' }, days: 14, createdAt: now(), dueAt: new Date(Date.now() + 9e8).toISOString() },
    signedOffBy: [],
    counts: {
      ...{ items: 0, undecided: 0, certify: 0, reduce: 0, revoke: 0, abstain: 0, privileged: 0, mine: 0 },
      applications,
    },
  }
}

export function someItem(id = 'it_1'): CampaignItem {
  return {
    ...{ id, campaign: 'ca_1', number: Number(/\d+$/.exec(id)?.[0] ?? 1), kind: 'access', agent: 'i#bot', name: 'bot' },
    ...{ groups: [], connection: 'orders', connectionTags: ['production'], access: 'standing' },
    ...{ privileged: false, privilegedBecause: [], commands: 12, refused: 0, held: 0, permittedCells: 9, usedCells: 2 },
    recommendation: { verdict: 'reduce', summary: '2 of 9 privileges used in 90 days' },
    ...{ stage: 0, stages: 1, reviewers: [], mine: true, verdict: 'undecided' },
    ...{ evidence: 'a'.repeat(64), revision: 0, comments: 0 },
  }
}

/** An item with as little evidence as there can be. */
export function somePage(item: CampaignItem): CampaignItemPage {
  const at = now()
  return {
    item,
    evidence: {
      ...{ format: 'countersign-evidence/1', campaign: item.campaign, item: item.id, at, window: { from: at, to: at } },
      coverage: { commands: 12, unreadable: 0, notes: [] },
      identity: { name: item.name, state: 'active', groups: [], actsFor: [] },
      connection: { name: item.connection, kind: 'postgres', tags: [], access: item.access, mode: 'enforce' },
      ...{ permitted: [], used: [], through: [], grants: [], days: [] },
      ...{ refused: [], heldCommands: [], masked: [], anomalies: [] },
    },
    recommendation: { ...item.recommendation, reasons: [], keeps: [], drops: [] },
    ...{ decisions: [], comments: [], moves: [] },
  }
}
