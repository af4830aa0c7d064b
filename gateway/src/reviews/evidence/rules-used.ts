import type { Store } from '../../store/store.ts'
import type { ToObserve } from './observe.ts'

/** Sessions that used grants in a window, with the policies that decided these: what was done by a rule is done there. */
export async function sessionsOfRules(
  { db }: Pick<Store, 'db'>,
  { from, to, agents, connections }: Pick<ToObserve, 'from' | 'to' | 'agents' | 'connections'>,
): Promise<ToObserve['rules']> {
  let query = db
    .selectFrom('grant_sessions')
    .innerJoin('grants', 'grants.id', 'grant_sessions.grant')
    .select(['grant_sessions.session', 'grants.policies', 'grants.agent', 'grants.connection'])
    .where('grants.active_from', '<', to)
    .where((e) => e.or([e('grants.ended_at', 'is', null), e('grants.ended_at', '>=', from)]))
  if (connections && connections.length <= 500) query = query.where('grants.connection', 'in', [...connections])
  const wanted = agents && new Set(agents)
  const found = new Map<string, Set<string>>()
  for (const { session, policies, agent } of await query.execute()) {
    if (wanted && !wanted.has(agent)) continue
    const mine = found.get(session) ?? new Set()
    for (const policy of JSON.parse(policies) as string[]) mine.add(policy)
    found.set(session, mine)
  }
  return [...found].map(([session, policies]) => [session, [...policies].sort()])
}
