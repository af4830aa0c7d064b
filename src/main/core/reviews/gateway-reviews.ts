import type { IncomingMessage } from 'node:http'
import { listOf } from '@countersign/contract/api'
import {
  BulkPreview,
  type BulkRequest,
  Campaign,
  CampaignItem,
  CampaignItemPage,
  type CampaignPlan,
  CampaignTemplate,
  type ItemCommentRequest,
  type ItemDecisionRequest,
  type ItemMoveRequest,
  ReviewSignals,
  type TemplateRequest,
} from '@countersign/contract/review'
import type { z } from 'zod'
import type { AskFor, OrNull } from '../access/gateway-access.ts'
import type { Asked } from '../gateway-api.ts'

type Page<T> = { items: T[]; next: string | null }

/** The calls of a gateway about access reviews. */
export interface ReviewsApi {
  /** @throws Unreachable, Refused; all calls do */
  campaignsPage(token: string, after?: string): Promise<Page<Campaign>>
  campaign(token: string, id: string): Promise<Campaign | null>
  createCampaign(token: string, plan: z.output<typeof CampaignPlan>): Promise<Campaign>
  changeCampaign(token: string, id: string, plan: z.output<typeof CampaignPlan>): Promise<Campaign>
  startCampaign(token: string, id: string): Promise<Campaign>
  closeCampaign(token: string, id: string, reason: string): Promise<Campaign>
  signOffCampaign(token: string, id: string, statement: string): Promise<Campaign>
  /** Only a draft can be removed. */
  removeCampaign(token: string, id: string): Promise<void>
  campaignTemplates(token: string, after?: string): Promise<Page<CampaignTemplate>>
  saveTemplate(token: string, id: string, template: z.output<typeof TemplateRequest>): Promise<CampaignTemplate>
  removeTemplate(token: string, id: string): Promise<void>
  /** By number. */
  itemsPage(token: string, campaign: string, after?: string): Promise<Page<CampaignItem>>
  item(token: string, campaign: string, item: string): Promise<CampaignItemPage | null>
  /** The item as it is after that; null where the answer doesn’t say. */
  putItemDecision(token: string, at: ItemPlace, id: string, body: ItemDecisionRequest): Promise<CampaignItem | null>
  putItemComment(token: string, at: ItemPlace, id: string, body: ItemCommentRequest): Promise<CampaignItem | null>
  moveItem(token: string, at: ItemPlace, how: 'reassign' | 'delegate', body: ItemMoveRequest): Promise<unknown>
  decideTogether(token: string, campaign: string, body: BulkRequest): Promise<BulkPreview>
  reviewSignals(token: string, campaign: string): Promise<ReviewSignals>
  /** A campaign’s pack, report or table, bit by bit; `bytes` where the gateway says how many. */
  campaignFile(
    token: string,
    campaign: string,
    what: CampaignFile,
    signal: AbortSignal,
  ): Promise<{ bytes: number | null; stream: AsyncIterable<Uint8Array> }>
}

export interface ItemPlace {
  campaign: string
  item: string
}

const files = {
  pack: { path: 'pack', accept: 'application/x-tar' },
  'pack with recordings': { path: 'pack?recordings=cited', accept: 'application/x-tar' },
  report: { path: 'report', accept: 'text/html' },
  csv: { path: 'items.csv', accept: 'text/csv' },
  json: { path: 'items.json', accept: 'application/json' },
} as const
export type CampaignFile = keyof typeof files

const mebibyte = 1024 * 1024
/** So many records are asked for at once. */
const PAGE = 1000

/**
 * @param ways askFor asks and checks the answer, ask gives it as it came, orNull null where there is no such thing,
 *   respond the answer that is still to be read
 */
export function reviewsApi(ways: {
  askFor: AskFor
  orNull: OrNull
  ask(path: string, asked?: Asked): Promise<string>
  respond(path: string, asked?: Asked): Promise<IncomingMessage>
}): ReviewsApi {
  const { askFor, orNull, ask, respond } = ways
  const of = (id: string) => `/v1/campaigns/${encodeURIComponent(id)}`
  const template = (id: string) => `/v1/campaign-templates/${encodeURIComponent(id)}`
  const itemOf = ({ campaign, item }: ItemPlace) => `${of(campaign)}/items/${encodeURIComponent(item)}`
  const post = (token: string, body: unknown = {}): Asked => ({ method: 'POST', token, body })
  const put = (token: string, body: unknown): Asked => ({ method: 'PUT', token, body })
  const from = (after: string | undefined) =>
    `limit=${PAGE}${after === undefined ? '' : `&after=${encodeURIComponent(after)}`}`
  const most = 128 * mebibyte
  const changed = async (path: string, asked: Asked) => itemIn(JSON.parse((await ask(path, asked)) || 'null'))

  return {
    campaignsPage: (token, after) => askFor(listOf(Campaign), `/v1/campaigns?${from(after)}`, { token, most }),
    campaign: (token, id) => orNull(askFor(Campaign, of(id), { token })),
    createCampaign: (token, plan) => askFor(Campaign, '/v1/campaigns', post(token, plan)),
    // From which template it began stays as it is.
    changeCampaign: (token, id, { template: _, ...body }) => askFor(Campaign, of(id), { method: 'PATCH', token, body }),
    startCampaign: (token, id) => askFor(Campaign, `${of(id)}/start`, post(token)),
    closeCampaign: (token, id, reason) =>
      askFor(Campaign, `${of(id)}/close`, { ...post(token, { reason }), patience: 60_000 }),
    signOffCampaign: (token, id, statement) => askFor(Campaign, `${of(id)}/sign-off`, post(token, { statement })),
    async removeCampaign(token, id) {
      await ask(of(id), { method: 'DELETE', token })
    },
    campaignTemplates: (token, after) =>
      askFor(listOf(CampaignTemplate), `/v1/campaign-templates?${from(after)}`, { token, most }),
    saveTemplate: (token, id, body) => askFor(CampaignTemplate, template(id), put(token, body)),
    async removeTemplate(token, id) {
      await ask(template(id), { method: 'DELETE', token })
    },
    itemsPage: (token, campaign, after) =>
      askFor(listOf(CampaignItem), `${of(campaign)}/items?${from(after)}`, { token, most, patience: 60_000 }),
    item: (token, campaign, item) => orNull(askFor(CampaignItemPage, itemOf({ campaign, item }), { token, most })),
    putItemDecision: (token, at, id, body) =>
      changed(`${itemOf(at)}/decisions/${encodeURIComponent(id)}`, { ...put(token, body), patience: 60_000 }),
    putItemComment: (token, at, id, body) =>
      changed(`${itemOf(at)}/comments/${encodeURIComponent(id)}`, put(token, body)),
    moveItem: (token, at, how, body) => ask(`${itemOf(at)}/${how}`, post(token, body)),
    decideTogether: (token, campaign, body) =>
      askFor(BulkPreview, `${of(campaign)}/bulk`, { ...post(token, body), most, patience: 120_000 }),
    reviewSignals: (token, campaign) => askFor(ReviewSignals, `${of(campaign)}/signals`, { token, patience: 60_000 }),
    async campaignFile(token, campaign, what, signal) {
      const { path, accept } = files[what]
      const answer = await respond(`${of(campaign)}/${path}`, { token, signal, accept, patience: 300_000 })
      const length = Number(answer.headers['content-length'] ?? Number.NaN)
      return { bytes: Number.isFinite(length) ? length : null, stream: answer }
    },
  }
}

/** The item that an answer, or the problem of a conflict (member `item`), has. */
export function itemIn(answer: unknown): CampaignItem | null {
  for (const candidate of [answer, (answer as { item?: unknown } | null)?.item]) {
    const parsed = CampaignItem.safeParse(candidate)
    if (parsed.success) return parsed.data
  }
  return null
}
