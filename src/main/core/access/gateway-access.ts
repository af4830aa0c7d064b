import {
  AgentRecord,
  ConnectionRecord,
  Grant,
  type GrantExtension,
  type GrantRequest,
  type GrantState,
  Plan,
} from '@countersign/contract/access'
import { listOf } from '@countersign/contract/api'
import { z } from 'zod'
import type { Asked } from '../gateway-api.ts'

/** The calls of a gateway about access. */
export interface AccessApi {
  /** The newest first. @throws Unreachable, Refused; all calls do */
  grants(token: string, query: GrantQuery): Promise<{ items: Grant[]; next: string | null }>
  /** With the sessions that used it. */
  grant(token: string, id: string): Promise<Grant | null>
  requestGrant(token: string, request: GrantRequest): Promise<Grant>
  extendGrant(token: string, id: string, extension: GrantExtension): Promise<Grant>
  revokeGrant(token: string, id: string, reason: string): Promise<Grant>
  plan(token: string, id: string): Promise<Plan | null>
  connections(token: string): Promise<ConnectionRecord[]>
  agents(token: string): Promise<AgentRecord[]>
}

export interface GrantQuery {
  state?: GrantState
  limit: number
  after?: string | undefined
}

export type AskFor = <T>(schema: z.ZodType<T>, path: string, asked?: Asked) => Promise<T>
export type OrNull = <T>(answer: Promise<T>) => Promise<T | null>

const mebibyte = 1024 * 1024
/** So many records of a list are asked for. */
const longestList = 10_000

/**
 * @param askFor asks and checks the answer
 * @param orNull null where there is no such thing
 */
export function accessApi(askFor: AskFor, orNull: OrNull): AccessApi {
  const of = (id: string) => `/v1/grants/${encodeURIComponent(id)}`
  const post = (token: string, body: unknown): Asked => ({ method: 'POST', token, body })
  const all = async <T>(schema: z.ZodType<T>, path: string, token: string): Promise<T[]> => {
    const items: T[] = []
    let after: string | null | undefined
    do {
      const query = new URLSearchParams({ limit: '1000', ...(after && { after }) })
      const page = await askFor(listOf(schema), `${path}?${query}`, { token, most: 64 * mebibyte })
      items.push(...page.items)
      after = page.next
    } while (after && items.length < longestList)
    return items
  }
  return {
    grants(token, { limit, state, after }) {
      const query = new URLSearchParams({ limit: String(limit), ...(state && { state }), ...(after && { after }) })
      return askFor(listOf(Grant), `/v1/grants?${query}`, { token, most: 64 * mebibyte })
    },
    grant: (token, id) => orNull(askFor(Grant, of(id), { token })),
    requestGrant: (token, request) => askFor(Grant, '/v1/grants', post(token, request)),
    extendGrant: (token, id, extension) => askFor(Grant, `${of(id)}/extend`, post(token, extension)),
    revokeGrant: (token, id, reason) => askFor(Grant, `${of(id)}/revoke`, post(token, { reason })),
    plan: (token, id) => orNull(askFor(Plan, `/v1/plans/${encodeURIComponent(id)}`, { token })),
    connections: (token) => all(ConnectionRecord, '/v1/connections', token),
    agents: (token) => all(AgentRecord, '/v1/agents', token),
  }
}

/** The grant that a refusal names (contract.md, section 7): one that a policy or rule denied by name. */
export function grantDenied(problem: unknown): Grant | string | undefined {
  const parsed = z.object({ grant: z.union([Grant, z.string()]) }).safeParse(problem)
  return parsed.success ? parsed.data.grant : undefined
}
