import type { ItemEvidence } from '@countersign/contract/review'
import type { Store } from '../../store/store.ts'
import type { GrantGiven } from './rules-used.ts'

/** A grant as an item shows it, with what policy is asked about it. */
export type ItemGrant = ItemEvidence['grants'][number] & {
  agent: string
  policies: readonly string[]
  identity: GrantGiven['identity']
  resources?: readonly string[]
}

/**
 * So many are shown; one for each action that was given is always among them, and of a rule one for each agent: nobody is
 * taken for one who was given nothing because another asked a hundred times.
 */
const MOST = 100
const MOST_AGENTS = 1000

/**
 * Grants that were live some time in the window, or are: the newest first.
 * @param wanted which of them
 */
export async function grantsIn(
  { db }: Pick<Store, 'db'>,
  of: { agent?: string; connection: string },
  { from, to }: { from: string; to: string },
  wanted: (given: GrantGiven) => boolean = () => true,
): Promise<ItemGrant[]> {
  const rows = await db
    .selectFrom('grants')
    .selectAll()
    .where('connection', '=', of.connection)
    .$if(of.agent !== undefined, (query) => query.where('agent', '=', of.agent!))
    .where('active_from', 'is not', null)
    .where('active_from', '<', to)
    .where((e) => e.or([e('ended_at', 'is', null), e('ended_at', '>=', from)]))
    .orderBy('active_from', 'desc')
    .orderBy('id')
    .execute()
  const mine = rows.filter(({ identity, policies }) =>
    wanted({ identity: JSON.parse(identity), policies: JSON.parse(policies) }),
  )
  const shown = mine.slice(0, MOST)
  const actions = new Set(shown.flatMap((row) => JSON.parse(row.actions) as string[]))
  const agents = new Set(shown.map(({ agent }) => agent))
  for (const row of mine.slice(MOST)) {
    const more = (JSON.parse(row.actions) as string[]).filter((action) => !actions.has(action))
    const another = !agents.has(row.agent) && agents.size < MOST_AGENTS
    if (more.length > 0 || another) shown.push(row)
    for (const action of more) actions.add(action)
    agents.add(row.agent)
  }
  const approvals = shown.flatMap(({ approval }) => (approval === null ? [] : [approval]))
  const decisions =
    approvals.length === 0
      ? []
      : await db
          .selectFrom('decisions')
          .select(['approval', 'person_name'])
          .where('verdict', '=', 'approve')
          .where('approval', 'in', approvals.slice(0, 500))
          .orderBy('id')
          .execute()
  const approvedBy = Map.groupBy(decisions, ({ approval }) => approval)
  return shown.map((row) => ({
    grant: row.id,
    state: row.state,
    agent: row.agent,
    actions: JSON.parse(row.actions) as string[],
    at: row.active_from!,
    ...((row.ended_at ?? row.expires_at) !== null && { until: (row.ended_at ?? row.expires_at)! }),
    purpose: row.purpose,
    approvedBy: (approvedBy.get(row.approval ?? '') ?? []).map(({ person_name }) => person_name),
    policies: JSON.parse(row.policies) as string[],
    identity: JSON.parse(row.identity) as GrantGiven['identity'],
    ...(row.resources !== null && { resources: JSON.parse(row.resources) as string[] }),
  }))
}
