import type { Grant, Plan } from '@countersign/contract/access'
import type { Session } from '@countersign/contract/session'
import type { z } from 'zod'
import type { AskableAgent, accessCalls } from '../../../access-api.ts'
import { ConsoleError } from '../../../console-api.ts'
import { type GatewayApi, Refused, Unreachable } from '../gateway-api.ts'
import type { Asking } from '../library/downloads.ts'
import type { Store } from '../store/store.ts'
import type { Connections } from './connections.ts'
import { grantDenied } from './gateway-access.ts'
import type { Grants } from './grants.ts'

/** Of so many sessions that used a grant it is asked how they stand. */
const MOST_SESSIONS = 20

type Answers = {
  [N in keyof typeof accessCalls]: (
    input: z.output<(typeof accessCalls)[N]['input']>,
  ) => Promise<z.input<(typeof accessCalls)[N]['output']>>
}

/**
 * Answers about access. What is shown comes from what is kept here; asking, extending and revoking are the gateway's at
 * once or not at all.
 * @param from live: what to ask with, throws a ConsoleError where there is no connection
 */
export function accessAnswers(from: {
  store: Store
  grants: Grants
  connections: Connections
  asking: Asking
  live: () => Promise<{ api: GatewayApi; token: string }>
  /** What the gateway told of a session that was unknown here. */
  known: (session: Session) => void
}): Answers {
  const { store, grants, connections, asking, live, known } = from

  /** Has the newest sessions that used a grant known here, as far as this person may see them. */
  async function knowUses({ usedBy = [] }: Grant): Promise<void> {
    for (const { session: id } of usedBy.slice(0, MOST_SESSIONS)) {
      if (store.session(id)) continue
      const now = await asking()
      const session = now && (await now.api.session(now.token, id))
      if (session) known(session)
    }
  }

  /** A grant as the gateway knows it, or as it is kept. */
  async function look(id: string): Promise<{ grant: Grant | null; source: 'gateway' | 'local' }> {
    const now = await asking()
    const told = now && (await now.api.grant(now.token, id).catch(orStored))
    if (told) grants.take([told])
    if (told) void knowUses(told).catch(() => {})
    if (told === null) return { grant: null, source: 'gateway' }
    return { grant: store.access.grant(id) ?? told ?? null, source: told ? 'gateway' : 'local' }
  }

  /** A request for access on its way; one that was denied by name is an answer, too. */
  async function decided(
    api: GatewayApi,
    token: string,
    asked: Promise<Grant>,
  ): Promise<{ grant: Grant; words?: string }> {
    try {
      const grant = await asked
      grants.take([grant])
      return { grant }
    } catch (error) {
      const named = error instanceof Refused && error.status === 403 ? grantDenied(error.problem) : undefined
      const denied = typeof named === 'string' ? await api.grant(token, named).catch(() => null) : named
      if (denied) {
        grants.take([denied])
        return { grant: denied, words: (error as Error).message }
      }
      throw maybeArrived(error)
    }
  }

  /** A lost answer is not a refusal: the list says what came of it. */
  function maybeArrived(error: unknown): unknown {
    if (!(error instanceof Unreachable && error.maybeArrived)) return error
    grants.refresh()
    return new ConsoleError(
      'unreachable',
      `${error.message} It may have arrived all the same: look at the list before you do it again.`,
    )
  }

  return {
    async grants({ limit, after }) {
      if (after === undefined) grants.refresh()
      return { ...store.access.grants({ limit, after }), state: grants.state() }
    },
    grant: ({ id }) => look(id),

    async plan({ id }) {
      const now = await asking()
      const told = now && (await now.api.plan(now.token, id).catch(orStored))
      if (told === null) return null
      if (told) {
        store.access.savePlan(told)
        grants.take(told.grants)
        return told
      }
      return storedPlan(store, id)
    },

    async asked({ approval: id }) {
      const approval = store.approval(id)
      const wanted = approval?.access?.grants ?? []
      const found: Grant[] = []
      for (const grant of wanted) {
        const one = store.access.grant(grant) ?? (await look(grant).catch(() => undefined))?.grant
        if (one) found.push(one)
      }
      return {
        items: found.map((grant) => {
          const extended = grant.extends === undefined ? undefined : store.access.grant(grant.extends)
          return { grant, before: store.access.before(grant), ...(extended && { extended }) }
        }),
        missing: wanted.length - found.length,
        state: grants.state(),
      }
    },

    connections: () => connections.look(),

    async askable() {
      const { api, token } = await live()
      const [agents, places] = await Promise.all([
        api.agents(token).catch((error: Error) => {
          // Who may not see the registry asks for agents that they have seen.
          if (error instanceof Refused && (error.status === 403 || error.status === 404)) return []
          throw error
        }),
        connections.look(),
      ])
      const askable = new Map<string, AskableAgent>(seenAgents(store).map((agent) => [agent.id, agent]))
      for (const { id, name, issuer, owner, actsFor, state } of agents)
        askable.set(id, { id, name, issuer, actsFor, state, ...(owner && { owner }) })
      return {
        agents: [...askable.values()].sort((a, b) => a.name.localeCompare(b.name)),
        connections: places.items,
      }
    },

    async requestGrant(request) {
      const { api, token } = await live()
      return decided(api, token, api.requestGrant(token, request))
    },
    async extendGrant({ grant, ...extension }) {
      const { api, token } = await live()
      return decided(api, token, api.extendGrant(token, grant, extension))
    },
    async revokeGrant({ grant: id, reason }) {
      const { api, token } = await live()
      try {
        const grant = await api.revokeGrant(token, id, reason)
        grants.take([grant])
        return { grant }
      } catch (error) {
        // What is true now is shown beside the refusal.
        if (error instanceof Refused) void look(id).catch(() => {})
        throw maybeArrived(error)
      }
    },
  }
}

/** What is stored has to do where the gateway can't be reached; what it refuses is refused. */
function orStored(error: Error): undefined {
  if (error instanceof Refused && error.status < 500) throw error
  return undefined
}

/** Agents of the sessions and grants that are known here. */
function seenAgents(store: Store): AskableAgent[] {
  const identities = [
    ...store.sessions({ limit: 500 }).items.map(({ identity }) => identity),
    ...store.access.grants({ limit: 500 }).items.map(({ identity }) => identity),
  ]
  const seen = new Map<string, AskableAgent>()
  for (const { id, name, issuer, owner, onBehalfOf } of identities) {
    const actsFor = new Set(seen.get(id)?.actsFor)
    if (onBehalfOf) actsFor.add(onBehalfOf)
    seen.set(id, { id, name, issuer, actsFor: [...actsFor], state: 'active', ...(owner && { owner }) })
  }
  return [...seen.values()]
}

/** A plan from what is kept here; its steps as they are now. */
function storedPlan(store: Store, id: string): Plan | null {
  const head = store.access.plan(id)
  const steps = store.access.ofPlan(id)
  const [first] = steps
  if (!first) return null
  const said = {
    id,
    title: head?.title ?? 'Plan',
    purpose: head?.purpose ?? first.purpose,
    requestedAt: first.requestedAt,
    requestedBy: first.requestedBy,
    ...(first.approval && { approval: first.approval }),
  }
  const has = (state: Grant['state']) => steps.some((step) => step.state === state)
  const state = has('requested') ? 'requested' : has('active') ? 'active' : has('denied') ? 'denied' : 'ended'
  return { ...said, state, grants: steps }
}
