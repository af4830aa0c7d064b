import type { Grant, GrantExtension, GrantRequest, PlanRequest } from '@countersign/contract/access'
import type { AgentRef } from '@countersign/contract/identity'
import type { z } from 'zod'
import type { ConnectionRef } from '../gate/command.ts'
import { isSubject } from '../identity/claim.ts'
import { agentRef, type Principal } from '../identity/principal.ts'
import { type Asked, askedOf, checkTexts, onOneLine } from './asked.ts'
import type { Wanted, Wish } from './asking.ts'
import type { GrantsConfig } from './grants.ts'
import { GrantRefused, NOTHING_PERMITS } from './refused.ts'
import { actorOf } from './transitions.ts'

/** What the registry knows of agents. In memory. */
export interface KnownAgents {
  /** An agent as its newest token had it. */
  known(id: string): AgentRef | undefined
  disabled(id: string): { reason: string } | undefined
  /** Waits until whoever came before this call is known. */
  upToDate?(): Promise<void>
}

/**
 * Makes of a call what is asked for, by whom and for whom.
 * Each throws GrantRefused where that can't be asked, or not by this one.
 */
export interface Wishes {
  grant(by: Principal, request: z.output<typeof GrantRequest>): Wish
  plan(by: Principal, request: z.output<typeof PlanRequest>): Wish
  extension(by: Principal, before: Grant, request: z.output<typeof GrantExtension>): Wish
  /** Whoever it is for, or of, was not disabled since. */
  stillWanted(wish: Wish): void
}

export function createWishes({
  agents,
  config,
  connection,
}: {
  agents: KnownAgents
  config: () => GrantsConfig
  connection: (name: string) => ConnectionRef | undefined
}): Wishes {
  return {
    grant(by, request) {
      const asked = askedOf(request, config().max_duration)
      return { wanted: [wanted(by, asked, whose(by, request, false))], by: actorOf(by) }
    },
    plan(by, { title, purpose, steps }) {
      checkTexts([title, purpose, ...steps.map((step) => step.title)])
      const wish: Wanted[] = steps.map((step, at) => {
        try {
          const asked = askedOf({ ...step, purpose }, config().max_duration)
          return { ...wanted(by, asked, whose(by, step, true)), title: onOneLine(step.title) }
        } catch (error) {
          throw error instanceof GrantRefused
            ? new GrantRefused(error.fault, `step ${at + 1} (${onOneLine(step.title)}): ${error.message}`)
            : error
        }
      })
      return { wanted: wish, by: actorOf(by), plan: { title: onOneLine(title), purpose: onOneLine(purpose) } }
    },
    extension(by, before, { duration, purpose }) {
      const { id, connection: name, actions, resources, identity, expiresAt } = before
      if (by.kind === 'agent' && (by.id !== identity.id || (by.onBehalfOf ?? '') !== (identity.onBehalfOf ?? '')))
        throw new GrantRefused('forbidden', 'An agent extends its own grants, on behalf of the same one, and no others')
      const { onBehalfOf } = identity
      const whom =
        by.kind === 'agent' ? {} : { agent: identity.id, ...(onBehalfOf === undefined ? {} : { onBehalfOf }) }
      const asked = askedOf(
        { connection: name, actions, ...(resources ? { resources } : {}), duration, purpose },
        config().max_duration,
      )
      return {
        wanted: [wanted(by, asked, whose(by, whom, false))],
        by: actorOf(by),
        extends: { id, expiresAt: expiresAt! },
      }
    },
    stillWanted({ by, wanted }) {
      const theirs = [...(by.kind === 'agent' ? [by.id] : []), ...wanted.map(({ identity }) => identity.id)]
      if (theirs.some((agent) => agents.disabled(agent))) throw new GrantRefused('not-permitted', NOTHING_PERMITS)
    },
  }

  function wanted(by: Principal, asked: Asked, identity: AgentRef): Wanted {
    // Whoever got hold of a token for one connection has not got hold of others.
    if (by.kind === 'agent' && by.token && by.token.connection !== asked.connection)
      throw new GrantRefused('forbidden', `Your token is for ${by.token.connection} alone: ask with one of your issuer`)
    const found = connection(asked.connection)
    if (!found && by.kind === 'person')
      throw new GrantRefused('invalid', `There is no connection ${asked.connection}: GET /v1/connections lists them`)
    return { asked, identity, connection: found }
  }

  function whose(by: Principal, asked: { agent?: string | undefined; onBehalfOf?: string | undefined }, step: boolean) {
    const { agent, onBehalfOf } = asked
    if (by.kind === 'person' && by.roles.length === 0)
      throw new GrantRefused('forbidden', 'People who have a role ask for access of agents; your groups give you none')
    if (agent === undefined) {
      if (by.kind === 'person') throw new GrantRefused('invalid', 'Say for which agent you ask (agent)')
      if (onBehalfOf !== undefined && onBehalfOf !== by.onBehalfOf)
        throw new GrantRefused('forbidden', 'An agent asks on behalf of the one for whom it is here')
      return agentRef(by)
    }
    if (by.kind === 'agent' && !step)
      throw new GrantRefused('forbidden', 'An agent asks for itself: in a plan a step may name another one')
    if (onBehalfOf !== undefined && !isSubject(onBehalfOf))
      throw new GrantRefused('invalid', 'No token names anybody like that to act for (onBehalfOf)')
    const acting = onBehalfOf ?? (by.kind === 'agent' ? by.onBehalfOf : undefined)
    if (by.kind === 'agent' && agent === by.id && acting === by.onBehalfOf) return agentRef(by)
    const known = agents.known(agent)
    if (!known) {
      if (by.kind === 'agent') throw new GrantRefused('not-permitted', NOTHING_PERMITS)
      throw new GrantRefused('invalid', `The registry knows no agent ${agent}: it must have come once, or be declared`)
    }
    const disabled = agents.disabled(agent)
    // Why it is, is for people: to other agents it is one that nobody knows.
    if (disabled && by.kind === 'agent') throw new GrantRefused('not-permitted', NOTHING_PERMITS)
    if (disabled) throw new GrantRefused('conflict', `The agent is disabled (${disabled.reason}): it gets no access`)
    const { onBehalfOf: _, chain: __, ...ref } = known
    return { ...ref, ...(acting === undefined ? {} : { onBehalfOf: acting }) }
  }
}
