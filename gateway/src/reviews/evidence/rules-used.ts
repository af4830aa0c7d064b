import type { ConfiguredConnection } from '../../access/connections.ts'
import type { AgentIdentity } from '../../identity/registry/agent-entry.ts'
import type { Permitted, Subject } from '../../policy/permitted/permitted.ts'
import type { Store } from '../../store/store.ts'
import type { ToObserve } from './observe.ts'

/** Who asked for access, as policy was told, and the policies that decided. */
export interface GrantGiven {
  identity: AgentIdentity & { onBehalfOf?: string | undefined }
  policies: readonly string[]
}

/**
 * The rules by which access was given: the policies that decided, and, since those who were asked are named where people
 * were, the permits that let it be asked for, as policy is now.
 */
export function rulesGiving(
  permitted: Pick<Permitted, 'mayPermit'>,
  connection: Pick<ConfiguredConnection, 'name' | 'kind' | 'tags'>,
  { identity, policies }: GrantGiven,
): string[] {
  const { id, issuer, groups, owner, onBehalfOf } = identity
  const subject: Subject = { id, issuer, groups, owner, onBehalfOf: onBehalfOf ?? '' }
  return [...new Set([...policies, ...permitted.mayPermit(asking(subject, connection))])].sort()
}

/** Whether it may ask for access to a connection. */
export const asking = (subject: Subject, connection: Pick<ConfiguredConnection, 'name' | 'kind' | 'tags'>) => ({
  subject,
  connection,
  action: 'access:request',
  resource: { id: connection.name, type: 'Connection' },
})

/** Sessions that used grants in a window, with the rules that gave these: what was done by a rule is done there. */
export async function sessionsOfRules(
  parts: { store: Pick<Store, 'db'>; permitted: Permitted; connections: readonly ConfiguredConnection[] },
  { from, to, agents, connections }: Pick<ToObserve, 'from' | 'to' | 'agents' | 'connections'>,
): Promise<ToObserve['rules']> {
  const rows = await parts.store.db
    .selectFrom('grant_sessions')
    .innerJoin('grants', 'grants.id', 'grant_sessions.grant')
    .select(['grant_sessions.session', 'grants.id', 'grants.policies', 'grants.identity', 'grants.connection'])
    .where('grants.active_from', '<', to)
    .where((e) => e.or([e('grants.ended_at', 'is', null), e('grants.ended_at', '>=', from)]))
    .execute()
  const [ofAgents, onConnections] = [agents && new Set(agents), connections && new Set(connections)]
  const byName = new Map(parts.connections.map((one) => [one.name, one]))
  const given = new Map<string, string[]>()
  const found = new Map<string, Set<string>>()
  for (const row of rows) {
    const connection = byName.get(row.connection)
    if (!connection || (onConnections && !onConnections.has(connection.name))) continue
    const identity = JSON.parse(row.identity) as GrantGiven['identity']
    if (ofAgents && !ofAgents.has(identity.id)) continue
    const policies = JSON.parse(row.policies) as string[]
    const rules = given.get(row.id) ?? rulesGiving(parts.permitted, connection, { identity, policies })
    given.set(row.id, rules)
    const mine = found.get(row.session) ?? new Set()
    for (const rule of rules) mine.add(rule)
    found.set(row.session, mine)
  }
  return [...found].map(([session, rules]) => [session, [...rules].sort()])
}
