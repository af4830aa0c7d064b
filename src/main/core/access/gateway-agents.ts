import {
  AccessAnswer,
  AgentAccess,
  type AgentDeclaration,
  type AgentPatch,
  AgentRecord,
  BreakGlass,
  type BreakGlassReview,
  Delegation,
  type DelegationRequest,
  Freeze,
  PersonRecord,
  TokenRecord,
} from '@countersign/contract/access'
import { listOf } from '@countersign/contract/api'
import type { ThenQuery } from '../../../agents-api.ts'
import type { Asked } from '../gateway-api.ts'
import type { AskFor, OrNull } from './gateway-access.ts'

/** The calls of a gateway about agents and people. */
export interface AgentsApi {
  /** Those for whom nobody answers first, then by name. @throws Unreachable, Refused; all calls do */
  agentsPage(token: string, after?: string): Promise<{ items: AgentRecord[]; next: string | null }>
  agent(token: string, id: string): Promise<AgentRecord | null>
  agentAccess(token: string, id: string): Promise<AgentAccess>
  declareAgent(token: string, agent: AgentDeclaration): Promise<AgentRecord>
  changeAgent(token: string, id: string, patch: AgentPatch): Promise<AgentRecord>
  /** The newest first. */
  tokensOf(token: string, agent: string, limit: number): Promise<{ items: TokenRecord[]; next: string | null }>
  revokeToken(token: string, id: string, reason: string): Promise<TokenRecord>
  accessThen(token: string, query: ThenQuery, page: { limit: number; after?: string }): Promise<AccessAnswer>
  /** `connection` * is everything. */
  freeze(token: string, connection: string, does: 'freeze' | 'unfreeze', reason: string): Promise<Freeze>
  people(token: string, after?: string): Promise<{ items: PersonRecord[]; next: string | null }>
  /** The latest first. */
  delegations(token: string, limit: number): Promise<{ items: Delegation[]; next: string | null }>
  delegate(token: string, delegation: DelegationRequest): Promise<Delegation>
  endDelegation(token: string, id: string, reason: string): Promise<Delegation>
  /** The latest first. */
  breakGlass(token: string, limit: number): Promise<{ items: BreakGlass[]; next: string | null }>
  reviewBreakGlass(token: string, id: string, review: BreakGlassReview): Promise<BreakGlass>
}

const mebibyte = 1024 * 1024
/** So many records of the registry are asked for at once. */
const PAGE = 1000

/**
 * @param askFor asks and checks the answer
 * @param orNull null where there is no such thing
 */
export function agentsApi(askFor: AskFor, orNull: OrNull): AgentsApi {
  const of = (room: string, id: string) => `/v1/${room}/${encodeURIComponent(id)}`
  const post = (token: string, body: unknown): Asked => ({ method: 'POST', token, body })
  const query = (given: Record<string, string | number | undefined>) =>
    new URLSearchParams(
      Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [[name, String(value)]])),
    )
  const most = 64 * mebibyte
  return {
    agentsPage: (token, after) =>
      askFor(listOf(AgentRecord), `/v1/agents?${query({ limit: PAGE, after })}`, { token, most }),
    agent: (token, id) => orNull(askFor(AgentRecord, of('agents', id), { token })),
    // Policy is asked about every action on every resource: that takes its time.
    agentAccess: (token, id) => askFor(AgentAccess, `${of('agents', id)}/access`, { token, most, patience: 60_000 }),
    declareAgent: (token, agent) => askFor(AgentRecord, '/v1/agents', post(token, agent)),
    changeAgent: (token, id, patch) => askFor(AgentRecord, of('agents', id), { method: 'PATCH', token, body: patch }),
    tokensOf: (token, agent, limit) =>
      askFor(listOf(TokenRecord), `/v1/tokens?${query({ agent, limit })}`, { token, most }),
    revokeToken: (token, id, reason) => askFor(TokenRecord, `${of('tokens', id)}/revoke`, post(token, { reason })),
    accessThen: (token, { at, agent, connection }, { limit, after }) =>
      askFor(AccessAnswer, `/v1/access?${query({ at, agent, connection, limit, after })}`, {
        ...{ token, most, patience: 120_000 },
      }),
    freeze: (token, connection, does, reason) =>
      askFor(
        Freeze,
        connection === '*' ? `/v1/${does}` : `${of('connections', connection)}/${does}`,
        post(token, { reason }),
      ),
    people: (token, after) =>
      askFor(listOf(PersonRecord), `/v1/people?${query({ limit: PAGE, after })}`, { token, most }),
    delegations: (token, limit) => askFor(listOf(Delegation), `/v1/delegations?${query({ limit })}`, { token, most }),
    delegate: (token, delegation) => askFor(Delegation, '/v1/delegations', post(token, delegation)),
    endDelegation: (token, id, reason) => askFor(Delegation, `${of('delegations', id)}/end`, post(token, { reason })),
    breakGlass: (token, limit) => askFor(listOf(BreakGlass), `/v1/break-glass?${query({ limit })}`, { token, most }),
    reviewBreakGlass: (token, id, review) => askFor(BreakGlass, `${of('break-glass', id)}/review`, post(token, review)),
  }
}
