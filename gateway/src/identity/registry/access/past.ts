import type { ConfiguredConnection } from '../../../access/connections.ts'
import type { Store } from '../../../store/store.ts'
import type { AgentIdentity } from '../agent-entry.ts'

/** A grant as it was while it was live. */
export interface PastGrant {
  id: string
  agent: string
  /** As the agent was when it was asked for. */
  identity: AgentIdentity & { onBehalfOf?: string | undefined }
  connection: string
  actions: readonly string[]
  resources?: readonly string[]
  from: string
  /** When it was to end. */
  until: string
  approvedBy: readonly string[]
}

/** All that says who could do what at a time. */
export interface Past {
  at: string
  /** Version of the policy set that was in force; undefined before the first. */
  policy: string | undefined
  /** By name. */
  connections: readonly ConfiguredConnection[]
  /** Agents that had come by then and were not disabled, by id, as their newest token had them. */
  agents: readonly AgentIdentity[]
  disabled: ReadonlySet<string>
  /** Connections that were frozen; `*` for all. */
  frozen: ReadonlySet<string>
  grants: readonly PastGrant[]
}

/** What of a past is wanted: of one agent, of those from this id on, on one connection. */
export interface PastOnly {
  agent?: string
  from?: string
  connection?: string
}

/**
 * What the store says of a time: of each thing what was said of it last, until then.
 * @param at ISO 8601, in UTC with milliseconds, as the store has times
 */
export async function pastAt({ db }: Pick<Store, 'db'>, at: string, only: PastOnly = {}): Promise<Past> {
  const { agent, from, connection } = only
  // One moment of the store: what happens meanwhile is in all of it or in none.
  return db.transaction().execute(async (tx) => {
    const policy = await tx
      .selectFrom('policy_times')
      .select('version')
      .where('at', '<=', at)
      .orderBy('at', 'desc')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst()
    const configured = await tx
      .selectFrom('connection_versions')
      .select('connections')
      .where('at', '<=', at)
      .orderBy('at', 'desc')
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst()
    const identities = await tx
      .selectFrom('agent_identities')
      .select(['agent', 'identity'])
      .where('at', '<=', at)
      .$if(agent !== undefined, (query) => query.where('agent', '=', agent!))
      .$if(from !== undefined, (query) => query.where('agent', '>=', from!))
      .orderBy('at')
      .orderBy('id')
      .execute()
    const states = await tx
      .selectFrom('agent_states')
      .select(['agent', 'state'])
      .where('at', '<=', at)
      .orderBy('at')
      .orderBy('id')
      .execute()
    const frozen = await tx
      .selectFrom('freezes')
      .select('connection')
      .where('at', '<=', at)
      .where((e) => e.or([e('ended_at', 'is', null), e('ended_at', '>', at)]))
      .execute()
    const grants = await tx
      .selectFrom('grants')
      .select(['id', 'agent', 'identity', 'connection', 'actions', 'resources', 'approval'])
      .select(['active_from', 'expires_at'])
      .where('active_from', '<=', at)
      .where('expires_at', '>', at)
      .where((e) => e.or([e('ended_at', 'is', null), e('ended_at', '>', at)]))
      .$if(agent !== undefined, (query) => query.where('agent', '=', agent!))
      .$if(from !== undefined, (query) => query.where('agent', '>=', from!))
      .$if(connection !== undefined, (query) => query.where('connection', '=', connection!))
      .orderBy('id')
      .execute()
    const decisions = await tx
      .selectFrom('decisions')
      .innerJoin('grants', 'grants.approval', 'decisions.approval')
      .select(['grants.id', 'decisions.person_name'])
      .where('decisions.verdict', '=', 'approve')
      .where('grants.active_from', '<=', at)
      .where('grants.expires_at', '>', at)
      .orderBy('decisions.id')
      .execute()
    const approvedBy = Map.groupBy(decisions, ({ id }) => id)
    return pastOf({
      at,
      policy: policy?.version,
      connections: configured ? (JSON.parse(configured.connections) as ConfiguredConnection[]) : [],
      identities: identities.map(({ identity }) => JSON.parse(identity) as AgentIdentity),
      states: new Map(states.map(({ agent, state }) => [agent, state])),
      frozen: frozen.map(({ connection }) => connection),
      grants: grants.map((grant) => ({
        id: grant.id,
        agent: grant.agent,
        identity: JSON.parse(grant.identity) as PastGrant['identity'],
        connection: grant.connection,
        actions: JSON.parse(grant.actions) as string[],
        ...(grant.resources !== null && { resources: JSON.parse(grant.resources) as string[] }),
        from: grant.active_from!,
        until: grant.expires_at!,
        approvedBy: (approvedBy.get(grant.id) ?? []).map(({ person_name }) => person_name),
      })),
    })
  })
}

/** What was told, in the order in which it was; of an agent the last word counts. */
export interface Told extends Pick<Past, 'at' | 'policy' | 'connections' | 'grants'> {
  identities: readonly AgentIdentity[]
  states: ReadonlyMap<string, 'active' | 'disabled'>
  frozen: readonly string[]
}

export function pastOf({ at, policy, connections, identities, states, frozen, grants }: Told): Past {
  const disabled = new Set([...states].filter(([, state]) => state === 'disabled').map(([agent]) => agent))
  const agents = new Map<string, AgentIdentity>()
  // One that was given access before it ever came is in no groups but those that it was asked for with.
  for (const { agent, identity } of grants) agents.set(agent, identity)
  for (const identity of identities) agents.set(identity.id, identity)
  return {
    at,
    policy,
    connections,
    agents: [...agents.values()].filter(({ id }) => !disabled.has(id)).sort((a, b) => (a.id < b.id ? -1 : 1)),
    disabled,
    frozen: new Set(frozen),
    grants,
  }
}
