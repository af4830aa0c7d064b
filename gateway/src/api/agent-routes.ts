import {
  AgentDeclaration,
  AgentPatch,
  AgentRecord,
  AgentState,
  PersonLeft,
  PersonRecord,
} from '@countersign/contract/access'
import { ListQuery, listOf } from '@countersign/contract/api'
import type { PersonRef } from '@countersign/contract/identity'
import { z } from 'zod'
import { ownBecause } from '../approvals/own.ts'
import { type PersonPrincipal, type Principal, personRef } from '../identity/principal.ts'
import type { AgentChanges, Changed } from '../identity/registry/changes.ts'
import { BadRegistryCursor } from '../identity/registry/lists.ts'
import type { Registry } from '../identity/registry/registry.ts'
import { LedgerStopped } from '../sessions/ledger/ledger.ts'
import { HttpProblem } from './problem.ts'
import { answers, bearer, type Routes } from './routes.ts'
import { forbidden, hasRole } from './visibility.ts'

/** ISSUER#SUBJECT, percent-encoded. */
export const LongId = z.object({ id: z.string().max(4000) })
const Flag = z.enum(['true', 'false']).transform((value) => value === 'true')
const AgentsQuery = ListQuery.extend({
  text: z.string().max(500).optional().describe('words that are all in its names, groups, owner, sponsor or purpose'),
  state: AgentState.optional(),
  issuer: z.string().max(1000).optional(),
  connection: z.string().max(63).optional().describe('those that had a session on it'),
  orphans: Flag.optional().describe('true: only those for whom nobody answers'),
})
const PeopleQuery = ListQuery.extend({ text: z.string().max(500).optional() })

/** Agents and people, and what is done about them. */
export function agentRoutes(app: Routes, registry: Registry): void {
  app.get(
    '/v1/agents',
    {
      schema: {
        tags: ['agents'],
        summary: 'Every agent seen or declared; those for whom nobody answers first, then by name',
        security: bearer,
        querystring: AgentsQuery,
        response: answers(200, 'A page of them.', listOf(AgentRecord), 400, 403),
      },
    },
    async ({ caller, query }) => {
      seesAgents(caller)
      const { limit, after, text, state, issuer, connection, orphans } = query
      return refusals(() =>
        registry.agents({
          limit,
          ...(after !== undefined && { after }),
          ...(text !== undefined && { text }),
          ...(state !== undefined && { state }),
          ...(issuer !== undefined && { issuer }),
          ...(connection !== undefined && { connection }),
          ...(orphans !== undefined && { orphans }),
        }),
      )
    },
  )

  app.post(
    '/v1/agents',
    {
      schema: {
        tags: ['agents'],
        summary: 'Declare an agent, before it is seen or after',
        security: bearer,
        body: AgentDeclaration,
        response: answers(201, 'It is declared.', AgentRecord, 400, 403, 409),
      },
    },
    async ({ caller, body }, reply) => {
      const by = admin(caller, 'Agents are declared by admins')
      staysTheirs(caller, registry, `${body.issuer}#${body.subject}`, body)
      return reply.code(201).send(changed(await refusals(() => registry.declare(body, by))))
    },
  )

  app.get(
    '/v1/agents/:id',
    {
      schema: {
        tags: ['agents'],
        summary: 'An agent',
        security: bearer,
        params: LongId,
        response: answers(200, 'The agent.', AgentRecord, 403, 404),
      },
    },
    async ({ caller, params }) => {
      seesAgents(caller)
      const agent = await refusals(() => registry.agent(params.id))
      if (!agent) throw new HttpProblem(404, `There is no agent ${params.id}.`)
      return agent
    },
  )

  app.patch(
    '/v1/agents/:id',
    {
      schema: {
        tags: ['agents'],
        summary: 'Say who answers for an agent and what it is for; disable or enable it',
        description:
          'Disabling ends its sessions at once, and it gets no new ones, with whatever token. `null` takes a value away. For admins; who answers for an agent is not changed by one who does and who decides held commands (409).',
        security: bearer,
        params: LongId,
        body: AgentPatch,
        response: answers(200, 'The agent as it is now.', AgentRecord, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const by = admin(caller, 'Agents are changed by admins')
      staysTheirs(caller, registry, params.id, body)
      // Who only just came is written a moment later, and can be disabled at once nevertheless.
      await refusals(() => registry.flush())
      return changed(await refusals(() => registry.change(params.id, body, by)))
    },
  )

  app.get(
    '/v1/people',
    {
      schema: {
        tags: ['people'],
        summary: 'Everybody who has signed in, by name',
        security: bearer,
        querystring: PeopleQuery,
        response: answers(200, 'A page of them.', listOf(PersonRecord), 400, 403),
      },
    },
    async ({ caller, query }) => {
      seesPeople(caller)
      const { limit, after, text } = query
      return refusals(() =>
        registry.people({ limit, ...(after !== undefined && { after }), ...(text !== undefined && { text }) }),
      )
    },
  )

  app.get(
    '/v1/people/:id',
    {
      schema: {
        tags: ['people'],
        summary: 'Somebody who has signed in',
        security: bearer,
        params: LongId,
        response: answers(200, 'The person.', PersonRecord, 403, 404),
      },
    },
    async ({ caller, params }) => {
      seesPeople(caller)
      const person = registry.person(params.id)
      if (!person) throw new HttpProblem(404, `Nobody with the id ${params.id} has signed in.`)
      return person
    },
  )

  app.post(
    '/v1/people/:id/left',
    {
      schema: {
        tags: ['people'],
        summary: 'Mark somebody as having left, or as having come back',
        description: 'Agents that they sponsor are orphans, and they may do nothing here any more. For admins.',
        security: bearer,
        params: LongId,
        body: PersonLeft,
        response: answers(200, 'The person as they are now.', PersonRecord, 400, 403, 404, 409),
      },
    },
    async ({ caller, params, body }) => {
      const by = admin(caller, 'People are marked as having left by admins')
      return changed(await registry.markLeft(params.id, body.left, by, body.reason))
    },
  )
}

/** @throws HttpProblem 403 */
export function seesAgents(caller: Principal): void {
  if (!hasRole(caller, 'approver', 'reviewer', 'auditor', 'admin'))
    throw forbidden(caller, 'Agents are seen by approvers, reviewers, auditors and admins')
}

/** @throws HttpProblem 403 */
function seesPeople(caller: Principal): void {
  if (!hasRole(caller, 'approver', 'reviewer', 'auditor', 'admin'))
    throw forbidden(caller, 'People are seen by approvers, reviewers, auditors and admins')
}

/** @throws HttpProblem 403 */
function admin(caller: Principal, rule: string): PersonRef {
  if (!hasRole(caller, 'admin')) throw forbidden(caller, rule)
  return personRef(caller as PersonPrincipal)
}

/**
 * Nobody decides what an agent of theirs asks for (approvals/own.ts): so who decides doesn't take an agent off themselves
 * to decide it then. Another admin does.
 * @throws HttpProblem 409
 */
function staysTheirs(
  caller: Principal,
  registry: Registry,
  agent: string,
  { sponsor, owner }: Pick<AgentChanges, 'sponsor' | 'owner'>,
): void {
  const entry = registry.entry(agent)
  if (!entry || caller.kind !== 'person' || !hasRole(caller, 'approver')) return
  const told = { sponsor: entry.sponsor ?? null, owner: entry.owner ?? null }
  const isOther = (sponsor !== undefined && sponsor !== told.sponsor) || (owner !== undefined && owner !== told.owner)
  const { id, issuer, subject, name } = entry
  const identity = entry.identity ?? { id, issuer, subject, name: name ?? subject, groups: [] }
  if (isOther && ownBecause(caller, { identity }, registry.sponsorsOf) !== undefined)
    throw new HttpProblem(
      409,
      'You answer for this agent, and decide what is held: have another admin say who answers for it.',
    )
}

const statusOf = { unknown: 404, invalid: 400, conflict: 409 } as const

/** @throws HttpProblem */
function changed<T>(came: Changed<T>): T {
  if (came.ok) return came.is
  const { message } = came
  throw new HttpProblem(
    statusOf[came.problem],
    `${message.charAt(0).toUpperCase()}${message.slice(1)}${/[.!?]$/.test(message) ? '' : '.'}`,
  )
}

/** @throws HttpProblem */
async function refusals<T>(work: () => T | Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (error instanceof BadRegistryCursor) throw new HttpProblem(400, error.message)
    if (error instanceof LedgerStopped) throw new HttpProblem(503, error.message, { 'retry-after': '5' })
    throw error
  }
}
