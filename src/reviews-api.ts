import { PolicyCheck } from '@countersign/contract/policies'
import {
  BulkPreview,
  BulkRequest,
  Campaign,
  CampaignItem,
  CampaignItemPage,
  CampaignPlan,
  CampaignTemplate,
  CloseRequest,
  ItemMoveRequest,
  ReviewSignals,
  SignOffRequest,
  TemplateRequest,
  Verdict,
} from '@countersign/contract/review'
import { z } from 'zod'
import type { ConflictChoice } from './annotations-api.ts'

/** The part of ConsoleApi (console-api.ts) about access reviews: campaigns, their items, what is decided of them. */

const Count = z.number().int().nonnegative()
const Time = z.iso.datetime()
const Id = z.string().min(1).max(200)

/** How much of the campaigns is here, and how fresh that is. */
export const CampaignsState = z.object({
  at: Time.nullable().describe('until when they are as the gateway had them; null where it never told'),
  whole: z.boolean(),
  loading: z.boolean(),
  forbidden: z.boolean().describe('whether this person’s roles see no campaigns'),
  problem: z.string().optional(),
})
export type CampaignsState = z.infer<typeof CampaignsState>

/** How much of a campaign’s items is here. */
export const ItemsState = z.object({
  at: Time.nullable(),
  whole: z.boolean().describe('whether all of them are here'),
  loading: z.boolean(),
  stored: Count,
  evidence: z
    .object({ kept: Count, of: Count })
    .describe('of those that this person may decide: how many have their evidence here, to be decided offline'),
  problem: z.string().optional(),
})
export type ItemsState = z.infer<typeof ItemsState>

/** What a person can make of a decision or comment that the gateway refused. */
export const ReviewChoice = z.enum(['again', 'anew', 'discard'])
export type ReviewChoice = z.infer<typeof ReviewChoice>

/** A decision or comment that the gateway doesn’t have yet. */
export const PendingReview = z.object({
  id: z.string(),
  kind: z.enum(['decision', 'comment']),
  campaign: z.string(),
  item: z.string(),
  verdict: Verdict.optional().describe('of a decision'),
  text: z.string().describe('the reason, or the comment'),
  policy: z.string().optional(),
  revision: Count.optional().describe('of the item that was decided on'),
  at: Time,
  state: z.enum(['waiting', 'sending', 'conflict']),
  status: Count.optional().describe('of a conflict: how the gateway refused it (HTTP); 0 where it never got there'),
  problem: z.string().optional(),
  choices: z
    .array(ReviewChoice)
    .describe('again: send the same; anew: decide on the item as it is now; discard: what the gateway has stays'),
})
export type PendingReview = z.infer<typeof PendingReview>

/** What a person decides of an item. */
export const ItemDecided = z.object({
  campaign: Id,
  item: Id,
  verdict: Verdict,
  reason: z.string().trim().max(4000).default(''),
  revision: Count.describe('of the item as it was shown'),
  policy: z.string().max(64_000).optional(),
  seconds: z.number().nonnegative().max(1e7).optional(),
  evidenceOpened: z.array(z.string().max(50)).max(20).optional(),
})
export type ItemDecided = z.input<typeof ItemDecided>
/** What is said anew of what was refused. */
export const DecidedAnew = ItemDecided.pick({ verdict: true, reason: true, policy: true, revision: true }).partial()
export type DecidedAnew = z.output<typeof DecidedAnew>

/** What can be taken out of a campaign. */
export const campaignExports = [
  { id: 'pack', name: 'Evidence pack', extension: 'tar', says: 'signed, with proofs, for countersign verify' },
  { id: 'report', name: 'Campaign report', extension: 'html', says: 'a page to read or print' },
  { id: 'pdf', name: 'Campaign report, PDF', extension: 'pdf', says: 'the same on paper' },
  { id: 'csv', name: 'Table of items', extension: 'csv', says: 'a row an item' },
  { id: 'json', name: 'Items, JSON', extension: 'json', says: 'an array of items, for programs' },
] as const
export const CampaignExport = z.enum(campaignExports.map(({ id }) => id))
export type CampaignExport = z.infer<typeof CampaignExport>

export const reviewCalls = {
  /** Campaigns as they are kept here, those that are due first on top; the gateway is asked what is new. */
  campaigns: {
    input: z.object({}),
    output: z.object({
      items: z.array(Campaign),
      state: CampaignsState,
      pending: z.array(PendingReview).describe('what waits to be sent, or was refused'),
    }),
  },
  /** Drafts one. @throws ConsoleError not-connected, refused, unreachable; so do all that change something at once */
  createCampaign: { input: CampaignPlan, output: Campaign },
  changeCampaign: { input: z.object({ id: Id, plan: CampaignPlan }), output: Campaign },
  /** Begins to take its snapshot; how far that is, is told by `starting` of the campaign. */
  startCampaign: { input: z.object({ id: Id }), output: Campaign },
  removeCampaign: { input: z.object({ id: Id }), output: z.object({}) },
  closeCampaign: { input: CloseRequest.extend({ id: Id }), output: Campaign },
  signOffCampaign: { input: SignOffRequest.extend({ id: Id }), output: Campaign },
  campaignTemplates: { input: z.object({}), output: z.object({ items: z.array(CampaignTemplate) }) },
  saveTemplate: { input: TemplateRequest.extend({ id: Id }), output: CampaignTemplate },
  removeTemplate: { input: z.object({ id: Id }), output: z.object({}) },

  /** Items of a campaign as they are kept here, by number. The first page also has the gateway asked what is new. */
  campaignItems: {
    input: z.object({
      campaign: Id,
      limit: z.number().int().positive().max(2000).default(1000),
      after: z.string().optional(),
    }),
    output: z.object({ items: z.array(CampaignItem), next: z.string().nullable(), state: ItemsState }),
  },
  /** One item with its evidence; null where it is neither here nor there. */
  campaignItem: {
    input: z.object({ campaign: Id, item: Id }),
    output: z.object({ page: CampaignItemPage.nullable(), source: z.enum(['gateway', 'local']) }),
  },
  /** Is kept here at once and sent as soon as that can be, exactly once. @throws ConsoleError decided-already */
  decideItem: { input: ItemDecided, output: PendingReview },
  commentItem: {
    input: z.object({ campaign: Id, item: Id, text: z.string().trim().min(1).max(4000) }),
    output: PendingReview,
  },
  /** Takes back what was never on its way; false where it may have arrived. */
  takeBackReview: { input: z.object({ id: Id }), output: z.object({ taken: z.boolean() }) },
  /** What becomes of a refused one. `anew` says on which revision, as it was shown, and may change what was said. */
  resolveReview: {
    input: z.object({ id: Id, choice: ReviewChoice, anew: DecidedAnew.optional() }),
    output: z.object({}),
  },
  moveItem: {
    input: ItemMoveRequest.extend({ campaign: Id, item: Id, kind: z.enum(['reassign', 'delegate']) }),
    output: z.object({}),
  },
  /** First without `preview`, then with the one that was answered. */
  decideTogether: { input: BulkRequest.extend({ campaign: Id }), output: BulkPreview },
  reviewSignals: { input: z.object({ campaign: Id }), output: ReviewSignals },
  /** Whether a tighter policy is one that the gateway would take. */
  checkReduction: { input: z.object({ policy: z.string().max(64_000) }), output: PolicyCheck },
  /** Writes it to a file of the person’s choice; how far that is, is told by events of type `export`. */
  exportCampaign: {
    input: z.object({
      campaign: Id,
      format: CampaignExport,
      recordings: z.boolean().default(false).describe('a pack with the recordings of the commands that it cites'),
      work: z.string().min(1).max(64),
    }),
    output: z.object({ state: z.enum(['written', 'cancelled']), where: z.string().optional() }),
  },
  cancelCampaignExport: { input: z.object({ work: z.string() }), output: z.object({}) },
} as const

export const reviewEvents = [
  z.object({
    type: z.literal('campaigns'),
    changed: z.array(Campaign),
    removed: z.array(z.string()),
    state: CampaignsState,
  }),
  z.object({
    type: z.literal('campaign-items'),
    campaign: z.string(),
    changed: z.array(CampaignItem),
    removed: z.array(z.string()),
    state: ItemsState,
  }),
  /** Replaces what was known of this campaign’s. */
  z.object({ type: z.literal('pending-reviews'), campaign: z.string(), items: z.array(PendingReview) }),
] as const

/** How outbox choices are called there. */
export const choiceOf = { again: 'again', anew: 'edit', discard: 'discard' } as const satisfies Record<
  ReviewChoice,
  ConflictChoice
>
