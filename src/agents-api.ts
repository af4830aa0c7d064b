import {
  AccessAnswer,
  AgentAccess,
  AgentDeclaration,
  AgentPatch,
  AgentRecord,
  BreakGlass,
  BreakGlassReview,
  Delegation,
  DelegationRequest,
  Freeze,
  PersonRecord,
  TokenRecord,
} from '@countersign/contract/access'
import { z } from 'zod'

/** The part of ConsoleApi (console-api.ts) about agents and people: the registry, tokens, freezes, duty, break-glass. */

const Count = z.number().int().nonnegative()
const Time = z.iso.datetime()
const Reason = z.string().trim().min(1, 'give a reason').max(2000)

/** How much of the registry is here, and how fresh that is. */
export const AgentsState = z.object({
  at: Time.nullable().describe('until when they are as the gateway had them; null where it never told'),
  whole: z.boolean().describe('whether all of them are here'),
  more: z.boolean().describe('true where there are more than are kept here'),
  loading: z.boolean(),
  stored: Count,
  problem: z.string().optional().describe('why they could not be fetched'),
})
export type AgentsState = z.infer<typeof AgentsState>

/** Duty that is handed over, and emergencies: what the gateway last told. */
export const PeopleState = z.object({
  delegations: z.array(Delegation).describe('the latest first'),
  breakGlass: z.array(BreakGlass).describe('the latest first'),
  at: Time.nullable().describe('when it was told; null where it never was'),
})
export type PeopleState = z.infer<typeof PeopleState>

/** Which moment is asked about, and of whom. */
export const ThenQuery = z.object({
  at: Time,
  agent: z.string().max(4000).optional(),
  connection: z.string().max(63).optional(),
})
export type ThenQuery = z.infer<typeof ThenQuery>

export const agentCalls = {
  /** The registry as it is kept here, by id. The first page also has the gateway asked what is new. */
  agents: {
    input: z.object({ limit: z.number().int().positive().max(1000).default(1000), after: z.string().optional() }),
    output: z.object({ items: z.array(AgentRecord), next: z.string().nullable(), state: AgentsState }),
  },
  /** One agent as the gateway knows it now, or as it is kept; null where it is neither here nor there. */
  agent: {
    input: z.object({ id: z.string() }),
    output: z.object({ agent: AgentRecord.nullable(), source: z.enum(['gateway', 'local']) }),
  },
  /** Permitted against used. @throws ConsoleError not-connected, refused, unreachable */
  agentAccess: { input: z.object({ id: z.string() }), output: AgentAccess },
  /** Gateway tokens of an agent that this person may see, the newest first. */
  agentTokens: { input: z.object({ id: z.string() }), output: z.object({ items: z.array(TokenRecord) }) },
  revokeToken: { input: z.object({ token: z.string(), reason: Reason }), output: TokenRecord },
  /** Changes what the registry says of an agent, or disables or enables it: at once or not at all. */
  changeAgent: { input: z.object({ id: z.string(), patch: AgentPatch }), output: AgentRecord },
  declareAgent: { input: AgentDeclaration, output: AgentRecord },
  /** Who could do what at a moment; `whole` is false where the answer has more lines than are shown. */
  accessThen: { input: ThenQuery, output: AccessAnswer.omit({ next: true }).extend({ whole: z.boolean() }) },
  /** The same as a table (CSV), whole. How far that is, is told by events of type `export` with the same `work`. */
  exportAccessThen: {
    input: ThenQuery.extend({ work: z.string() }),
    output: z.object({
      state: z.enum(['written', 'cancelled']),
      where: z.string().optional(),
      lines: Count.optional(),
    }),
  },
  /** `connection` * is everything. */
  freeze: { input: z.object({ connection: z.string(), reason: Reason }), output: Freeze },
  unfreeze: { input: z.object({ connection: z.string(), reason: Reason }), output: Freeze },
  /** Everybody who has signed in, by name. */
  people: { input: z.object({}), output: z.object({ items: z.array(PersonRecord) }) },
  /** Who decides in whose place, and who decided alone in an emergency. */
  duty: { input: z.object({}), output: PeopleState },
  delegate: { input: DelegationRequest, output: Delegation },
  endDelegation: { input: z.object({ id: z.string(), reason: z.string().trim().max(2000) }), output: Delegation },
  reviewBreakGlass: { input: BreakGlassReview.extend({ id: z.string() }), output: BreakGlass },
} as const

export const agentEvents = [
  z.object({
    type: z.literal('agents'),
    changed: z.array(AgentRecord),
    removed: z.array(z.string()),
    state: AgentsState,
  }),
  z.object({ type: z.literal('duty'), duty: PeopleState }),
] as const
