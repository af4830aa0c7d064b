import { AgentState, ConnectionRecord, Grant, GrantExtension, GrantRequest, Plan } from '@countersign/contract/access'
import { z } from 'zod'

/** The part of ConsoleApi (console-api.ts) about access: grants, plans, connections. */

const Count = z.number().int().nonnegative()

/** How much of the grants is here, and how fresh that is. */
export const GrantsState = z.object({
  at: z.iso.datetime().nullable().describe('until when they are as the gateway had them; null where it never told'),
  whole: z.boolean().describe('whether all of them are here that this person may see'),
  more: z.boolean().describe('true where there are more than are kept here; those are older'),
  loading: z.boolean(),
  stored: Count,
  seesAll: z.boolean().describe('whether this person sees all grants, or those of their groups'),
  problem: z.string().optional().describe('why they could not be fetched'),
})
export type GrantsState = z.infer<typeof GrantsState>

/** An agent for which access can be asked. */
export const AskableAgent = z.object({
  id: z.string(),
  name: z.string(),
  issuer: z.string(),
  owner: z.string().optional(),
  actsFor: z.array(z.string()).describe('on whose behalf it came lately'),
  state: AgentState,
})
export type AskableAgent = z.infer<typeof AskableAgent>

/** What an agent was given on a connection before a request, as far as it is known here. */
export const Before = z.object({
  given: Count,
  denied: Count,
  longest: Count.describe('seconds of the longest one'),
  actions: z.array(z.string()),
  lastAt: z.iso.datetime().optional(),
})
export type Before = z.infer<typeof Before>

/** A grant that an approval is about, beside what was before. */
export const AskedGrant = z.object({ grant: Grant, before: Before, extended: Grant.optional() })
export type AskedGrant = z.infer<typeof AskedGrant>

export const accessCalls = {
  /** Grants that are kept here, the newest first. The first page also has the gateway asked what is new. */
  grants: {
    input: z.object({ limit: z.number().int().positive().max(1000).default(1000), after: z.string().optional() }),
    output: z.object({ items: z.array(Grant), next: z.string().nullable(), state: GrantsState }),
  },
  /** One grant with the sessions that used it; null where it is neither here nor there. */
  grant: {
    input: z.object({ id: z.string() }),
    output: z.object({ grant: Grant.nullable(), source: z.enum(['gateway', 'local']) }),
  },
  plan: { input: z.object({ id: z.string() }), output: Plan.nullable() },
  /** What an approval of access is about: its grants in their order. */
  asked: {
    input: z.object({ approval: z.string() }),
    output: z.object({ items: z.array(AskedGrant), missing: Count, state: GrantsState }),
  },
  connections: {
    input: z.object({}),
    output: z.object({ items: z.array(ConnectionRecord), at: z.iso.datetime().nullable() }),
  },
  /** For whom and for what this person may ask. @throws ConsoleError not-connected */
  askable: {
    input: z.object({}),
    output: z.object({ agents: z.array(AskableAgent), connections: z.array(ConnectionRecord) }),
  },
  /**
   * Asks for access: an answer is a grant that is active, requested (people decide) or denied by name, with the gateway's
   * words. @throws ConsoleError not-connected, refused, unreachable
   */
  requestGrant: {
    input: GrantRequest,
    output: z.object({ grant: Grant, words: z.string().optional() }),
  },
  /** Asks to prolong one: a new grant, decided anew. */
  extendGrant: {
    input: GrantExtension.extend({ grant: z.string() }),
    output: z.object({ grant: Grant, words: z.string().optional() }),
  },
  revokeGrant: {
    input: z.object({ grant: z.string(), reason: z.string().trim().min(1, 'give a reason').max(2000) }),
    output: z.object({ grant: Grant }),
  },
} as const

export const accessEvents = [
  z.object({
    type: z.literal('grants'),
    changed: z.array(Grant),
    removed: z.array(z.string()),
    state: GrantsState,
  }),
  z.object({ type: z.literal('connections'), items: z.array(ConnectionRecord) }),
] as const
