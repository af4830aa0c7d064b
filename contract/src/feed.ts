import { z } from 'zod'
import { AgentRecord, BreakGlass, Delegation, Freeze, Grant, PersonRecord } from './access.ts'
import { Approval } from './approval.ts'
import { Annotation, LedgerHead } from './evidence.ts'
import { Backtest } from './policies.ts'
import { Campaign, CampaignItem, CampaignReminder, Overlay } from './review.ts'
import { Session } from './session.ts'

const base = { seq: z.number().int().nonnegative(), at: z.iso.datetime() }

/**
 * A message of `GET /v1/feed` (one JSON object a WebSocket text frame). `seq` is global and rises; gaps are what this
 * role may not see. `reset` says that the sequence number asked for is no longer kept: load everything anew; its `seq`
 * is where the feed goes on from.
 */
export const FeedMessage = z.discriminatedUnion('type', [
  z.object({ ...base, type: z.literal('approval.opened'), data: Approval }),
  z.object({ ...base, type: z.literal('approval.decided'), data: Approval }),
  z.object({ ...base, type: z.literal('approval.closed'), data: Approval }),
  z.object({ ...base, type: z.literal('approval.escalated'), data: Approval }),
  z.object({ ...base, type: z.literal('approval.outcome'), data: Approval }).describe('what it came to, once it ran'),
  z.object({ ...base, type: z.literal('grant.requested'), data: Grant }),
  z.object({ ...base, type: z.literal('grant.activated'), data: Grant }),
  z.object({ ...base, type: z.literal('grant.denied'), data: Grant }),
  z.object({ ...base, type: z.literal('grant.expired'), data: Grant }),
  z.object({ ...base, type: z.literal('grant.revoked'), data: Grant }),
  z.object({ ...base, type: z.literal('agent.changed'), data: AgentRecord }),
  z.object({ ...base, type: z.literal('person.changed'), data: PersonRecord }),
  z.object({ ...base, type: z.literal('connection.frozen'), data: Freeze }),
  z.object({ ...base, type: z.literal('connection.unfrozen'), data: Freeze }),
  z.object({ ...base, type: z.literal('delegation.changed'), data: Delegation }),
  z.object({ ...base, type: z.literal('break-glass.used'), data: BreakGlass }),
  z.object({ ...base, type: z.literal('break-glass.reviewed'), data: BreakGlass }),
  z.object({ ...base, type: z.literal('session.opened'), data: Session }),
  z.object({ ...base, type: z.literal('session.closed'), data: Session }),
  z.object({ ...base, type: z.literal('ledger.checkpoint'), data: LedgerHead }),
  z.object({ ...base, type: z.literal('annotation.added'), data: Annotation }),
  z.object({ ...base, type: z.literal('annotation.withdrawn'), data: Annotation }),
  z.object({ ...base, type: z.literal('campaign.started'), data: Campaign }),
  z.object({ ...base, type: z.literal('campaign.changed'), data: Campaign }),
  z.object({ ...base, type: z.literal('campaign.closed'), data: Campaign }),
  z.object({ ...base, type: z.literal('campaign.item'), data: CampaignItem }),
  z.object({ ...base, type: z.literal('campaign.reminder'), data: CampaignReminder }),
  z.object({ ...base, type: z.literal('overlay.changed'), data: Overlay }),
  z.object({
    ...base,
    type: z.literal('policy.changed'),
    data: z.object({ version: z.string(), by: z.string(), reason: z.string() }),
  }),
  z.object({ ...base, type: z.literal('backtest.changed'), data: Backtest.omit({ result: true }) }),
  z.object({ ...base, type: z.literal('reset'), data: z.object({}) }),
])
export type FeedMessage = z.infer<typeof FeedMessage>
